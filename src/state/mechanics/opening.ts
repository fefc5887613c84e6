import { ErrorCode } from "../../wire/errors.js";
import { limits } from "../../wire/limits.js";
import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { bytesOf, type Id, idOf } from "../ids.js";
import { mutant } from "../mutants.js";
import { Access, accessGroups, specificAccess } from "../rules/access.js";
import { type DispositionOutcome, dispositionOutcome, overwrites } from "../rules/disposition.js";
import { shareBits } from "../tables/handles.js";
import { HandleRow } from "../tables/handles.js";
import type { PendingRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { awaitEnd, TAKEN_FROM, type Takeover, takeoverBefore } from "./app-instance.js";
import { breakLeases } from "./breaks.js";
import { closeHandle } from "./closing.js";
import { effectBeforeOpen, effectText } from "./effect-conflicts.js";
import { addEffect } from "./effect-rows.js";
import { locksOn, preparingOn } from "./file-locks.js";
import { absentHolders, type Aspirant, holdersOf, shareModes, type Step, waitingText } from "./holders.js";
import { grantTo, leaseKeyProblem } from "./lease-grants.js";
import { changedSince } from "./names.js";
import { park } from "./parking.js";
import { closedTail, closeTail, nodesToClose, reopenTail, tailBefore, tailBeforeText } from "./tails.js";

/** A create that is to be executed, for the first time or again after it was parked. */
export interface OpenAttempt {
  readonly session: SessionRow;
  readonly command: v1.IOpenHandle;
  readonly digest: Id;
  /** Absent at the first attempt. */
  readonly parked: PendingRow | null;
  /** What it took from another instance of its application just now, and has to wait for. */
  readonly takeover: Exclude<Takeover, { refuse: v1.ICommandResult }>;
}

/**
 * Executes a create: refuses it, parks it until a lease break or an effect is over, opens at once where nothing outside
 * has to change, or reserves the handle and announces the effect. Order of the checks: what is unresolved first, then the
 * observation, holders that are away, delete marks, the disposition, share modes, leases (semantics.md C5, F1, F3).
 */
export function attemptOpen(tx: Tx, attempt: OpenAttempt): v1.ICommandResult {
  const { command, session } = attempt;
  const reserved = attempt.parked
    ? (tx.store.handles.byId.get(idOf(attempt.parked.r.handleId)) ?? null)
    : null;
  const ending = untilEnded(tx, attempt, reserved);
  if (ending !== null) return ending;
  const outcome = outcomeOf(command);
  const aspirant = aspirantOf(session, command);
  const step = afterClosings(tx, command, decide(tx, attempt, reserved, aspirant, outcome));
  if (step !== null) {
    if ("refuse" in step) return step.refuse;
    reopenTail(tx, attempt.parked);
    return parkOpen(tx, attempt, reserved, step.waitFor);
  }
  const closing = closeTailFirst(tx, attempt, reserved, outcome);
  if (closing !== null) return closing;
  const handle = reserved ?? newHandle(tx, session, command);
  handle.pendingId = 0;
  handle.connection = session.r.connection;
  if (outcome.kind === "effect") return perform(tx, attempt, handle, outcome);
  const observed = command.observed;
  return completeOpen(tx, handle, {
    fileId: observed?.fileId ?? "",
    action: v1.CreateAction.OPENED,
    directory: observed?.directory ?? false,
    lease: command.lease ?? null,
  });
}

/** What the handles that it closed have under way elsewhere ends first; null: nothing can land any more. */
function untilEnded(tx: Tx, attempt: OpenAttempt, reserved: HandleRow | null): v1.ICommandResult | null {
  const { parked, takeover } = attempt;
  if (takeover === null) return parked?.r.ending.length ? parkedResult(parked, reserved) : null;
  const interim = parkOpen(tx, attempt, reserved, takeover.waitFor);
  const pending = parked ?? tx.store.pending.byId.get(interim.open?.pendingId ?? 0);
  if (pending !== undefined && takeover.nodes.length > 0) awaitEnd(tx, pending, takeover.nodes);
  return interim;
}

/** A file that is about to be cut is closed to the writers of other nodes first; null when it is, or nobody writes. */
function closeTailFirst(
  tx: Tx,
  attempt: OpenAttempt,
  reserved: HandleRow | null,
  outcome: DispositionOutcome,
): v1.ICommandResult | null {
  if (outcome.kind !== "effect" || outcome.effect !== v1.EffectKind.EFFECT_OVERWRITE) return null;
  const { command, parked, session } = attempt;
  const share = command.share ?? "";
  const fileId = command.observed?.fileId ?? "";
  const before = tailBefore(tx, share, fileId, parked);
  if (before !== null) return parkOpen(tx, attempt, reserved, tailBeforeText(before));
  if (parked?.r.prepared) return parked.r.preparing.length > 0 ? parkedResult(parked, reserved) : null;
  const nodes = nodesToClose(tx, share, fileId, session.r.owner);
  if (nodes.length === 0) return null;
  const interim = parkOpen(tx, attempt, reserved, "other nodes, which may write to the file");
  const pending = parked ?? tx.store.pending.byId.get(interim.open?.pendingId ?? 0);
  if (pending !== undefined) closeTail(tx, pending, nodes, 0);
  return interim;
}

function outcomeOf(command: v1.IOpenHandle): DispositionOutcome {
  const observed = command.observed;
  const there = !observed?.exists ? "absent" : observed.directory ? "directory" : "file";
  return dispositionOutcome(command.disposition ?? 0, there);
}

function aspirantOf(session: SessionRow, command: v1.IOpenHandle): Aspirant {
  const replaces = overwrites(command.disposition ?? 0);
  let access = specificAccess(command.desiredAccess ?? 0);
  // Replacing data or the file needs the right to, whether it was asked for or not.
  if (replaces) {
    access |= command.disposition === v1.Disposition.SUPERSEDE ? Access.delete : Access.writeData;
  }
  return {
    client: session.client,
    leaseKey: idOf(command.lease?.key),
    access,
    share: shareBits(command.shareMode),
    overwrites: replaces,
  };
}

function decide(
  tx: Tx,
  attempt: OpenAttempt,
  reserved: HandleRow | null,
  aspirant: Aspirant,
  outcome: DispositionOutcome,
): Step {
  const { command, session } = attempt;
  const share = command.share ?? "";
  const path = command.path ?? "";
  const effect = effectBeforeOpen(tx, command);
  if (effect !== null) return { waitFor: effectText(effect) };
  if (changedSince(tx, share, path, command.observed?.revision ?? 0) && !mutant.staleObservationAccepted)
    return { refuse: fail(ErrorCode.NOT_READY, `${share}:${path} changed meanwhile`, { retryAfterMs: 1 }) };
  const fileId = command.observed?.exists ? (command.observed.fileId ?? "") : "";
  if (takeoverBefore(tx, share, fileId, attempt.parked)) return { waitFor: TAKEN_FROM };
  // Only at first: what a failover took from its client's hand while this call waited, nobody has given up.
  if (command.closeMyOrphans && attempt.parked === null) closeOrphans(tx, session, share, path, fileId);
  let holders = holdersOf(tx, share, path, fileId, reserved);
  const away = absentHolders(tx, holders, aspirant);
  if (away !== null) return away;
  const marked = holders.some((holder) => holder.deleteSet && holder.path === path);
  if (marked) return { refuse: fail(ErrorCode.DELETE_PENDING, `${share}:${path} is marked for deletion`) };
  const plain = plainRules(tx, session, command, outcome);
  if (plain !== null) return { refuse: plain };
  const shares = shareModes(tx, holders, aspirant);
  if (shares !== null) return shares;
  holders = holders.filter((holder) => holder.holds);
  if (accessGroups(aspirant.access) === 0) return null;
  const operation = outcome.kind === "effect" && aspirant.overwrites && fileId !== "" ? "overwrite" : "open";
  const waiting = breakLeases(tx, share, fileId, operation, aspirant);
  return waiting.length === 0 ? null : { waitFor: waitingText(waiting) };
}

/** A handle that was closed on the way to this open may have taken the file along: its removal comes first. */
function afterClosings(tx: Tx, command: v1.IOpenHandle, step: Step): Step {
  if (step !== null) return step;
  const effect = effectBeforeOpen(tx, command);
  return effect === null ? null : { waitFor: effectText(effect) };
}

/** Release valve (semantics.md H 25): a client that forgot its handle and opens again is not held off by itself. */
function closeOrphans(tx: Tx, session: SessionRow, share: string, path: string, fileId: string): void {
  for (const holder of holdersOf(tx, share, path, fileId, null)) {
    if (holder.isConnected || !holder.isOpen) continue;
    if (holder.client !== session.client || holder.principal !== session.r.principal) continue;
    closeHandle(tx, holder, "forced", "its client opened the file again");
  }
}

/** What does not depend on other opens. */
function plainRules(
  tx: Tx,
  session: SessionRow,
  command: v1.IOpenHandle,
  outcome: DispositionOutcome,
): v1.ICommandResult | null {
  const where = `${command.share}:${command.path}`;
  if (outcome.kind === "error")
    return fail(outcome.code, `${where}: ${dispositionText(outcome.code, command)}`);
  const observed = command.observed;
  if (observed?.exists && observed.directory && command.wantFile)
    return fail(ErrorCode.FILE_IS_A_DIRECTORY, `${where} is a directory`);
  if (observed?.exists && !observed.directory && command.wantDirectory)
    return fail(ErrorCode.NOT_A_DIRECTORY, `${where} is not a directory`);
  const access = specificAccess(command.desiredAccess ?? 0);
  if (command.deleteOnClose && (access & Access.delete) === 0)
    return fail(ErrorCode.ACCESS_DENIED, `${where}: delete on close needs the right to delete`);
  if (observed?.exists && observed.readOnly) {
    if (command.deleteOnClose) return fail(ErrorCode.CANNOT_DELETE, `${where} is read-only`);
    if ((access & (Access.writeData | Access.appendData)) !== 0 || overwrites(command.disposition ?? 0))
      return fail(ErrorCode.ACCESS_DENIED, `${where} is read-only`);
  }
  return leaseKeyProblem(tx, session, command);
}

function dispositionText(code: ErrorCode, command: v1.IOpenHandle): string {
  if (code === ErrorCode.OBJECT_NAME_COLLISION) return "exists already";
  if (code === ErrorCode.OBJECT_NAME_NOT_FOUND) return "does not exist";
  return `disposition ${command.disposition} is unknown`;
}

function parkOpen(
  tx: Tx,
  attempt: OpenAttempt,
  reserved: HandleRow | null,
  waitsFor: string,
): v1.ICommandResult {
  const { command, session } = attempt;
  if (attempt.parked !== null) {
    attempt.parked.r.waitsFor = waitsFor;
    tx.store.touch(attempt.parked);
    return parkedResult(attempt.parked, reserved);
  }
  const handle = newHandle(tx, session, command);
  const pending = park(tx, session, {
    command: { openHandle: command },
    request: command.request,
    digest: attempt.digest,
    handleId: handle.id,
    share: handle.share,
    path: handle.path,
    fileId: command.observed?.fileId ?? "",
    waitsFor,
  });
  handle.pendingId = pending.r.id;
  return parkedResult(pending, handle);
}

function parkedResult(pending: PendingRow, handle: HandleRow | null): v1.ICommandResult {
  const open: v1.IOpenResult = { status: v1.OpenResult.Status.PARKED, pendingId: pending.r.id };
  if (handle !== null) open.handle = handle.toRecord();
  return { open };
}

/** Reserves the handle: its id and guid are taken from now on, a replay finds it. */
function newHandle(tx: Tx, session: SessionRow, command: v1.IOpenHandle): HandleRow {
  const { store } = tx;
  const share = store.share(command.share ?? "");
  const handle = new HandleRow(idOf(command.handleId), session);
  handle.volatileId = store.nextHandleNumber();
  handle.createGuid = idOf(command.createGuid);
  handle.client = session.client;
  handle.principal = session.r.principal;
  handle.share = command.share ?? "";
  handle.path = command.path ?? "";
  handle.grantedAccess = specificAccess(command.desiredAccess ?? 0);
  handle.shareBits = shareBits(command.shareMode);
  handle.disposition = command.disposition ?? 0;
  handle.state = v1.HandleState.HANDLE_PENDING;
  handle.kind = kindFor(command, share);
  handle.deleteInitial = command.deleteOnClose ?? false;
  handle.timeoutMs = timeoutFor(command, share, handle.kind);
  handle.leaseKey = "";
  handle.channelSequence = (command.channelSequence ?? 0) & 0xffff;
  handle.openedMs = tx.nowMs;
  handle.createOptions = command.createOptions ?? 0;
  handle.fileAttributes = command.fileAttributes ?? 0;
  handle.connection = session.r.connection;
  if (command.appInstance?.id?.length) handle.more().appInstance = copyInstance(command.appInstance);
  if (command.blob?.length) handle.more().blob = new Uint8Array(command.blob);
  store.handles.add(handle);
  tx.touchHandle(handle);
  if (handle.timeoutMs > session.r.handleTimeoutMaxMs) {
    session.r.handleTimeoutMaxMs = handle.timeoutMs;
    tx.touchSession(session);
  }
  return handle;
}

function copyInstance(instance: v1.IAppInstance): v1.IAppInstance {
  return { ...instance, id: new Uint8Array(instance.id ?? []) };
}

/** Persistence only on a continuously available share; what is less than that is decided when the lease is known. */
function kindFor(command: v1.IOpenHandle, share: v1.IShareRecord | undefined): v1.HandleKind {
  const asked = command.kind || v1.HandleKind.PLAIN;
  return asked === v1.HandleKind.PERSISTENT && !share?.continuouslyAvailable ? v1.HandleKind.DURABLE : asked;
}

/** A promise: never less than what was granted, at most the limit (semantics.md A7). */
function timeoutFor(
  command: v1.IOpenHandle,
  share: v1.IShareRecord | undefined,
  kind: v1.HandleKind,
): number {
  if (kind === v1.HandleKind.PLAIN) return 0;
  const asked = command.timeoutMs || share?.handleTimeoutMs || limits.handleTimeoutMsDefault;
  return Math.min(asked, limits.handleTimeoutMsMax);
}

function perform(
  tx: Tx,
  attempt: OpenAttempt,
  handle: HandleRow,
  outcome: DispositionOutcome & { kind: "effect" },
): v1.ICommandResult {
  const { command, session } = attempt;
  const observed = command.observed;
  const record: v1.IEffectRecord = {
    kind: outcome.effect,
    sessionId: session.r.id,
    handleId: bytesOf(handle.id),
    owner: session.r.owner,
    ownerIncarnation: session.r.ownerIncarnation,
    share: handle.share,
    path: handle.path,
    fileId: observed?.exists ? (observed.fileId ?? "") : "",
    sizeBefore: observed?.exists ? (observed.size ?? 0) : 0,
    directory: command.wantDirectory ?? false,
    requestDigest: bytesOf(attempt.digest),
    attributes: command.fileAttributes ?? 0,
  };
  if (command.request) record.request = { ...command.request };
  const effect = addEffect(tx, record);
  handle.effectId = effect.r.id;
  handle.createAction = outcome.action;
  if (effect.r.fileId !== "") {
    handle.fileId = effect.r.fileId;
    tx.store.handles.indexFile(handle);
  }
  if (command.lease?.key?.length) handle.more().leaseRequest = copyLease(command.lease);
  tx.touchHandle(handle);
  return {
    open: { status: v1.OpenResult.Status.PERFORM, handle: handle.toRecord(), effect: { ...effect.r } },
  };
}

function copyLease(lease: v1.ILeaseRequest): v1.ILeaseRequest {
  return {
    ...lease,
    key: new Uint8Array(lease.key ?? []),
    parentKey: new Uint8Array(lease.parentKey ?? []),
  };
}

/** What is known once a create is done. */
export interface OpenOutcome {
  readonly fileId: string;
  readonly action: v1.CreateAction;
  readonly directory: boolean;
  readonly lease: v1.ILeaseRequest | null;
}

/** The handle is open: for its client, and for everybody else to reckon with. */
export function completeOpen(tx: Tx, handle: HandleRow, outcome: OpenOutcome): v1.ICommandResult {
  const { store } = tx;
  if (handle.fileId !== outcome.fileId) {
    store.handles.refile(handle, outcome.fileId);
  }
  handle.state = v1.HandleState.HANDLE_OPEN;
  handle.effectId = 0;
  handle.pendingId = 0;
  handle.createAction = outcome.action;
  handle.directory = outcome.directory;
  if (handle.extras !== null) handle.extras.leaseRequest = null;
  const lease = grantTo(tx, handle, outcome.lease);
  settleKind(handle, lease?.r.state ?? 0);
  handle.replayEligible = isReplayEligible(handle);
  watchDeadline(tx, handle);
  tx.touchHandle(handle);
  if (outcome.action !== v1.CreateAction.OPENED) {
    const { share, path, client } = handle;
    tx.changed.push({ share, path, client, parentKey: idOf(outcome.lease?.parentKey) });
  }
  tx.emitHandle(EventKind.handleOpened, "", handle, `${handle.share}:${handle.path} opened`);
  tx.wakeHandle(handle);
  return { open: openResult(tx, handle, false) };
}

/** Its client may have gone while the create was under way: nobody else would look at its deadline then. */
function watchDeadline(tx: Tx, handle: HandleRow): void {
  const { session } = handle;
  session.handleTimeoutMinMs = Math.min(session.handleTimeoutMinMs, handle.timeoutMs);
  const deadlineMs = handle.deadlineMs();
  if (deadlineMs !== 0) tx.store.deadlines.schedule(session, deadlineMs);
}

/** Durable needs a lease with H and a file; less is a plain handle, which does not outlive its connection. */
function settleKind(handle: HandleRow, leaseState: number): void {
  if (handle.kind !== v1.HandleKind.DURABLE) return;
  if (!handle.directory && (leaseState & 2) !== 0) return;
  handle.kind = v1.HandleKind.PLAIN;
  handle.timeoutMs = 0;
}

/** Semantics.md A4: persistent, or a file with data, execute or delete rights; and there has to be a guid to ask by. */
function isReplayEligible(handle: HandleRow): boolean {
  if (handle.createGuid === "") return false;
  if (handle.kind === v1.HandleKind.PERSISTENT) return true;
  return !handle.directory && accessGroups(handle.grantedAccess) !== 0;
}

/** The answer to a create or a resume. */
export function openResult(tx: Tx, handle: HandleRow, replayed: boolean): v1.IOpenResult {
  const result: v1.IOpenResult = {
    status: v1.OpenResult.Status.DONE,
    handle: handle.toRecord(),
    locks: [
      ...locksOn(tx, handle.share, handle.fileId, handle),
      ...preparingOn(tx.store, handle.share, handle.fileId, handle),
    ],
    replayed,
  };
  const tail = closedTail(tx, handle.share, handle.fileId);
  if (tail !== null) {
    result.tailClosed = true;
    result.tailFrom = tail.from;
  }
  const lease = tx.store.leases.of(handle);
  if (lease !== undefined) result.lease = lease.toRecord();
  return result;
}
