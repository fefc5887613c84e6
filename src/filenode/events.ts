import { HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import type { NodeCore } from "./core.js";
import { handleClosing, sessionEnding } from "./endings.js";
import { descriptor, dropHandle } from "./handles.js";
import { sameBytes } from "../wire/same-bytes.js";
import { idKey } from "./ids.js";
import { dropSession, loadSession } from "./load-session.js";
import type { OpenFile } from "./open-file.js";
import { sessionFrozen } from "./release.js";
import type { OwnedSession } from "./sessions.js";

/** A write that began so short before a lease grant may have met a log that did not know of it. */
const RECENT_WRITE_MS = 5000;

/** Until storage that did not say how large a file is is asked again. */
const SIZE_RETRY_MS = 200;

/** How long the end of a parked call waits for its call before somebody else sees to its effect. */
const ABANDONED_MS = 1000;

/** What events need besides the core. */
export interface EventsEnv {
  readonly core: NodeCore;
  /** Sends a notice to every channel of the session's client; false when it has none here. */
  notify(session: OwnedSession, notice: v1.INotice): boolean;
  sweep(): void;
}

/** Takes in what the state tells this node, in order. */
export function onEvent(env: EventsEnv, event: v1.IEvent): void {
  env.core.noteRevision(event.revision);
  switch (event.kind) {
    case "pending-done":
      if (event.pendingDone) pendingDone(env.core, event, event.pendingDone);
      break;
    case "file-locks":
      fileLocks(env.core, event);
      break;
    case "lock-prepare":
      if (event.lockPrepare) void lockPrepare(env.core, event.lockPrepare, event.revision ?? 0);
      break;
    case "lease-break":
      leaseBreak(env, event);
      break;
    case "effect-finished":
      if (event.effect) effectEnded(env.core, event.effect, event.revision ?? 0);
      break;
    case "effect-needed":
      if (event.effect) void effectNeeded(env.core, event.effect);
      break;
    case "operation-begun":
      if (event.operation) void movesSoon(env, event.operation);
      break;
    case "session-frozen":
      if (event.session) sessionFrozen(env.core, event.session);
      break;
    case "failover":
      if (event.failover && !event.failover.operationId) env.core.pauses.takeover(event.failover.id ?? 0);
      break;
    case "node-down":
      env.sweep();
      break;
    case "session-disconnected":
      env.core.sessionLet.fire();
      break;
    case "session-moved":
      env.core.sessionLet.fire();
      if (event.session) sessionMoved(env, event.session);
      break;
    case "session-ending":
      if (event.session)
        void sessionEnding(env.core, event.session, (session) =>
          env.notify(session, { closing: event.text ?? "another session takes its place" }),
        );
      break;
    case "handle-closing":
      void handleClosing(env.core, event);
      break;
    case "session-closed":
    case "session-expired":
    case "session-replaced":
      env.core.sessionLet.fire();
      sessionEnded(env, event);
      break;
    case "handle-opened":
    case "handle-resumed":
      if (event.handle) leaseGranted(env.core, event.handle);
      break;
    case "handle-closed":
      if (event.handle) locksFreed(env.core, event.handle, event.revision ?? 0);
      break;
    case "handle-forced-closed":
    case "handle-expired":
      if (event.handle) locksFreed(env.core, event.handle, event.revision ?? 0);
      handleClosed(env, event);
      break;
    case "handle-renamed":
      handleRenamed(env.core, event);
      break;
    case "handle-moved":
      void handleMoved(env, event);
      break;
    default:
      break;
  }
}

function pendingDone(core: NodeCore, event: v1.IEvent, done: v1.IPendingDone): void {
  const held = done.result?.lock?.held;
  const handle = core.sessions.get(event.sessionId ?? 0)?.handles.get(idKey(event.handleId));
  // The call that waited may be gone with its connection; the lock is in force all the same.
  if (held && handle !== undefined) handle.openFile.setLocksOf(handle.key, held, event.revision ?? 0);
  if (core.pending.done(done.pendingId ?? 0, done.result ?? {})) return;
  const effect = effectToPerform(done.result);
  if (effect === null) return;
  // Its call died with a former owner or connection. Others wait behind it, so it is not left to a repeat that may never come.
  core.options.runtime.scheduler.after(ABANDONED_MS, () => {
    if (core.pending.abandoned(done.pendingId ?? 0)) void effectNeeded(core, effect);
  });
}

// PERFORM is 2 in both enumerations.
function effectToPerform(result: v1.ICommandResult | null | undefined): v1.IEffectRecord | null {
  if (result?.open?.status === 2) return result.open.effect ?? null;
  return result?.effect?.status === 2 ? (result.effect.effect ?? null) : null;
}

function fileLocks(core: NodeCore, event: v1.IEvent): void {
  const table = event.fileLocks;
  if (!table) return;
  const revision = event.revision ?? 0;
  const locks = [...(table.locks ?? []), ...(table.preparing ?? [])];
  tellFile(core, table.share ?? "", table.fileId ?? "", revision, (file) => file.setLocks(locks, revision));
}

// Open or not: its open may be on its way to being taken in.
function tellFile(
  core: NodeCore,
  share: string,
  fileId: string,
  revision: number,
  tell: (file: OpenFile) => void,
): OpenFile | undefined {
  const file = core.files.find(share, fileId);
  if (file !== undefined) tell(file);
  else core.news.keep(share, fileId, revision, tell);
  return file;
}

// Only effects that close the tail of their file name a file; the others are no news to it.
function effectEnded(core: NodeCore, effect: v1.IEffectRecord, revision: number): void {
  if (!effect.fileId) return;
  tellFile(core, effect.share ?? "", effect.fileId, revision, (file) => file.tail.ended(revision));
}

/**
 * A lock is about to be granted at another node. It is enforced here from now on, and what ran before in its ranges ends
 * first; only then may it be granted (semantics.md F2).
 */
export async function lockPrepare(
  core: NodeCore,
  prepare: v1.ILockPrepare,
  revision: number,
  missed = false,
): Promise<void> {
  const { share, fileId } = { share: prepare.share ?? "", fileId: prepare.fileId ?? "" };
  const from = prepare.tailFrom ?? 0;
  const file = tellFile(core, share, fileId, revision, (open) =>
    prepare.tail ? open.tail.close(from, revision, missed) : open.announce(prepare.ranges ?? [], revision),
  );
  let fileSize = 0;
  if (file !== undefined) {
    if (prepare.tail) fileSize = await sizeLeft(core, file, from);
    else await file.settled();
  }
  const result = await core.options.coordinator.execute({
    lockPrepared: {
      node: core.node,
      nodeIncarnation: core.options.lease.incarnation,
      pendingId: prepare.pendingId ?? 0,
      fileSize,
    },
  });
  core.noteRevision(result.revision);
}

/**
 * What a parked call asks of the nodes that it waits for, made from its record: the event may have come before this node
 * listened, or be among those that a snapshot skipped, and it is sent once. Of a tail the record does not tell where it
 * begins, so all of the file is closed; and as its end may have been heard already, the next write asks the state.
 */
export function questionOf(pending: v1.IPendingRecord): v1.ILockPrepare {
  const { id, share, fileId, handleId } = pending;
  const asked = { pendingId: id ?? 0, share: share ?? "", fileId: fileId ?? "" };
  const lock = v1.Command.decode(pending.command ?? new Uint8Array(0)).lock;
  if (!lock) return { ...asked, tail: true, tailFrom: 0 };
  const ranges = (lock.elements ?? []).map(({ offset, length, exclusive }) => ({
    handleId: handleId ?? new Uint8Array(0),
    offset: offset ?? 0,
    length: length ?? 0,
    exclusive: exclusive ?? false,
  }));
  return { ...asked, ranges };
}

/**
 * How far the writes of this node reach, once those that go beyond `from` are over; zero if it has written nothing. An
 * append elsewhere goes behind that. Storage that does not answer is asked until it does, or the file is closed.
 */
async function sizeLeft(core: NodeCore, file: OpenFile, from: number): Promise<number> {
  for (;;) {
    await file.writesEnded(from);
    const [writer] = file.writers;
    if (writer === undefined) return 0;
    writer.running.begin();
    try {
      return (await (await descriptor(core, writer)).stat()).size;
    } catch (error) {
      core.options.runtime.log.warn(
        { path: writer.path, error: String(error) },
        "the size of a file is not known",
      );
      file.writers.delete(writer);
      if (!writer.closed) file.writers.add(writer);
    } finally {
      writer.running.end();
    }
    await new Promise<void>((resolve) => core.options.runtime.scheduler.after(SIZE_RETRY_MS, resolve));
  }
}

/**
 * Somebody may cache this file from now on. A write that was under way when the lease was granted did not know of it: to
 * be sure, the leases are broken once more.
 */
function leaseGranted(core: NodeCore, record: v1.IHandleRecord): void {
  if (!record.leaseKey || record.leaseKey.length === 0) return;
  const file = core.files.find(record.share ?? "", record.fileId ?? "");
  if (file === undefined) return;
  file.leaseGrants += 1;
  if (file.handles === 0) return;
  if (core.options.runtime.clock.monotonicMs() - file.lastWriteMs > RECENT_WRITE_MS) return;
  for (const session of core.sessions.values())
    for (const handle of session.handles.values()) {
      if (handle.openFile !== file || sameBytes(handle.record.leaseKey, record.leaseKey)) continue;
      void core.options.coordinator.execute({
        breakLeases: { fence: session.fence(), handleId: handle.record.id ?? null, operation: "write" },
      });
      return;
    }
}

/** Another open renamed the file, here or at another node: what this handle does next has to find it. */
function handleRenamed(core: NodeCore, event: v1.IEvent): void {
  const record = event.handle;
  const handle = core.sessions.get(event.sessionId ?? 0)?.handles.get(idKey(event.handleId));
  if (!record || handle === undefined || record.volatileId !== handle.record.volatileId) return;
  // The answer of a later call may have been quicker than this event.
  if ((record.changedRevision ?? 0) < (handle.record.changedRevision ?? 0)) return;
  handle.record = { ...handle.record, path: record.path ?? "", changedRevision: record.changedRevision ?? 0 };
}

function locksFreed(core: NodeCore, record: v1.IHandleRecord, revision: number): void {
  core.files.find(record.share ?? "", record.fileId ?? "")?.dropLocksOf(idKey(record.id), revision);
}

function leaseBreak(env: EventsEnv, event: v1.IEvent): void {
  const notice = event.leaseBreak;
  if (!notice) return;
  const guid = idKey(notice.clientGuid);
  for (const session of env.core.sessions.values()) {
    if (event.sessionId ? session.id !== event.sessionId : idKey(session.record.clientGuid) !== guid)
      continue;
    env.notify(session, { leaseBreak: notice });
  }
}

/** Performs or resolves an effect that no call of this node waits for: an expiry's delete, an inherited one. */
export async function effectNeeded(core: NodeCore, effect: v1.IEffectRecord): Promise<void> {
  if (effect.owner !== core.node || effect.ownerIncarnation !== core.options.lease.incarnation) return;
  if (core.wasFinished(effect.id ?? 0)) return;
  const session = core.sessions.get(effect.sessionId ?? 0) ?? null;
  try {
    await core.resolve(effect, session);
  } catch (thrown) {
    const error = HoldfastError.from(thrown);
    core.options.runtime.log.info(
      { effect: effect.id, path: effect.path, error: error.message },
      "an effect ended with an error",
    );
    if (!core.recordedAsFailed(error)) core.leaveUnfinished(effect);
  }
}

function sessionMoved(env: EventsEnv, record: v1.ISessionRecord): void {
  const { core } = env;
  if (record.owner === core.node && record.ownerIncarnation === core.options.lease.incarnation) {
    const known = core.sessions.get(record.id ?? 0);
    if (known === undefined || known.epoch < (record.epoch ?? 0)) loadSession(core, record);
    return;
  }
  const session = core.sessions.get(record.id ?? 0);
  if (session === undefined || session.epoch >= (record.epoch ?? 0)) return;
  dropSession(core, session);
  void moveNotice(env, session, record.owner ?? "");
}

/** Clients of sessions that are about to move connect to where they go before anything is frozen. Only a hint. */
async function movesSoon(env: EventsEnv, operation: v1.IOperationRecord): Promise<void> {
  const items = (operation.items ?? []).filter(
    ({ sessionId, handleId }) => !handleId?.length && env.core.sessions.has(sessionId ?? 0),
  );
  if (items.length === 0) return;
  const answer = await env.core.options.coordinator.query({ stale: true, nodes: {} });
  const addresses = new Map((answer.nodes ?? []).map((node) => [node.name ?? "", node.grpcAddress ?? ""]));
  for (const { sessionId, to } of items) {
    const session = env.core.sessions.get(sessionId ?? 0);
    const grpcAddress = addresses.get(to ?? "");
    if (session === undefined || !grpcAddress) continue;
    env.notify(session, { moveSoon: { node: to ?? "", grpcAddress } });
  }
}

async function moveNotice(env: EventsEnv, session: OwnedSession, owner: string): Promise<void> {
  if (session.channels.size === 0) return;
  const answer = await env.core.options.coordinator.query({ stale: true, nodes: {} });
  const node = (answer.nodes ?? []).find((record) => record.name === owner);
  env.notify(session, {
    moveTo: { node: owner, grpcAddress: node?.grpcAddress ?? "", httpAddress: node?.httpAddress ?? "" },
  });
}

function sessionEnded(env: EventsEnv, event: v1.IEvent): void {
  const session = env.core.sessions.get(event.sessionId ?? event.session?.id ?? 0);
  if (session === undefined) return;
  dropSession(env.core, session);
  env.notify(session, { closing: event.text ?? "the session ended" });
  void endOrphans(env.core, session.id);
}

// Effects that were under way when their session ended are nobody's calls any more, but still block their names.
async function endOrphans(core: NodeCore, sessionId: number): Promise<void> {
  const { incarnation } = core.options.lease;
  const answer = await core.options.coordinator.query({
    stale: true,
    owned: { node: core.node, incarnation },
  });
  for (const effect of answer.effects ?? [])
    if (effect.sessionId === sessionId) await effectNeeded(core, effect);
}

// It goes on in a session of its own at another node; its client is told where.
async function handleMoved(env: EventsEnv, event: v1.IEvent): Promise<void> {
  const session = env.core.sessions.get(event.sessionId ?? 0);
  const handle = session?.handles.get(idKey(event.handleId));
  if (session === undefined) return;
  if (handle !== undefined) dropHandle(env.core, handle);
  const sessionId = event.handle?.sessionId ?? 0;
  const [found, nodes] = await Promise.all([
    env.core.options.coordinator.query({ stale: true, sessionId }),
    env.core.options.coordinator.query({ stale: true, nodes: {} }),
  ]);
  const derived = found.sessions?.[0];
  const node = (nodes.nodes ?? []).find(({ name }) => name === derived?.owner);
  if (derived === undefined) return;
  const owner = { node: derived.owner ?? "", grpcAddress: node?.grpcAddress ?? "" };
  const handleId = event.handleId ?? null;
  env.notify(session, { handleMoved: { handleId, sessionId, owner, epoch: derived.epoch ?? 0 } });
}

function handleClosed(env: EventsEnv, event: v1.IEvent): void {
  env.core.gone.handle(idKey(event.handleId));
  const session = env.core.sessions.get(event.sessionId ?? 0);
  const handle = session?.handles.get(idKey(event.handleId));
  if (session === undefined || handle === undefined) return;
  dropHandle(env.core, handle);
  env.notify(session, { handleClosed: event.handleId ?? null });
}
