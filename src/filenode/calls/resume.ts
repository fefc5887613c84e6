import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import type { PeerInfo } from "../api.js";
import type { NodeCore } from "../core.js";
import { descriptor } from "../handles.js";
import { idKey } from "../ids.js";
import { loadSession } from "../load-session.js";
import type { OpenHandle, OwnedSession } from "../sessions.js";
import { checkGuid, checkTakesSessions, checkVersion, isClientOf } from "./attach.js";
import { reconnectCommand, reconnected } from "./open.js";

/** A session taken up, and what became of the handles that were asked for with it, in their order. */
export interface Resumed {
  readonly session: OwnedSession;
  readonly reconnected: v1.IFileResponse[];
}

/** What a client asks for that comes back. */
export interface Resumption {
  readonly context: v1.ICallContext;
  /** Handles that it wants with its session. */
  readonly handles: readonly v1.IReconnectRequest[];
  /** By its clock, since it last heard of the session's owner; zero: not known. */
  readonly silentUs: number;
  /** Told as soon as the log has it connected, whatever comes after that. */
  readonly onConnected: (session: OwnedSession) => void;
}

/**
 * Takes an existing session up on a new connection. What an older connection has under way here ends first: nothing of
 * it may reach the log after the client has begun to replay (semantics.md B6).
 *
 * Handles that the client wants with it go through the log in the same entry: while a session moves, every round of the
 * log is a part of the pause that its client sees.
 */
export async function resumeSession(
  core: NodeCore,
  peer: PeerInfo,
  { context, handles, silentUs, onConnected }: Resumption,
): Promise<Resumed> {
  checkVersion(context.protocolVersion);
  checkTakesSessions(core);
  const cameMs = core.options.runtime.clock.monotonicMs();
  const id = context.sessionId ?? 0;
  const known = core.sessions.get(id);
  // Whoever only knows the number of a session is refused by the state, and its client notices nothing of it.
  if (known !== undefined && (known.channels.size === 0 || isClientOf(known.record, peer, context))) {
    known.channels.clear();
    await within(core, known.running.drained(), "older calls of the session still run");
    await within(core, known.ready, "what the old owner left is still being resolved");
  }
  const connect: v1.IConnectSession = {
    sessionId: id,
    clientGuid: checkGuid(context.clientGuid, "client guid"),
    principal: peer.principal,
    resumeToken: context.resumeToken ?? null,
    node: core.node,
    nodeIncarnation: core.options.lease.incarnation,
    channelSequence: context.channelSequence ?? 0,
  };
  // Without the session's epoch its handles cannot be named to the state: they are asked for one by one afterwards.
  const together = known !== undefined && handles.length > 0;
  const commands = together ? resumeCommands(known, handles, context.channelSequence ?? 0) : [];
  const results = await executeAll(core, [{ connectSession: connect }, ...commands]);
  const record = results[0]?.session;
  if (!record) throw new HoldfastError(ErrorCode.INTERNAL, "the state connected a session without a record");
  const session = loadSession(core, record);
  onConnected(session);
  // Only now: a client may come before this node has applied that the session is its own.
  core.pauses.clientBack(record, cameMs, silentUs);
  await within(core, session.ready, "what the old owner left is still being resolved");
  return { session, reconnected: together ? await takeUp(core, session, handles, results.slice(1)) : [] };
}

/** So many handles at most are taken up together with their session: each may cost three commands of the batch. */
const HANDLES_WITH_RESUME_MAX = Math.floor((limits.batchCommandsMax - 1) / 3);

// First all reconnects, then what the handles need for which a write waits: results are found by position.
function resumeCommands(
  session: OwnedSession,
  handles: readonly v1.IReconnectRequest[],
  channelSequence: number,
): v1.ICommand[] {
  if (handles.length > HANDLES_WITH_RESUME_MAX)
    throw new HoldfastError(
      ErrorCode.LIMIT_EXCEEDED,
      `${handles.length} handles in one attach; at most ${HANDLES_WITH_RESUME_MAX} are taken`,
      { next: "reconnect the others one by one" },
    );
  const reconnects = handles.map((handle) => ({
    reconnectHandle: reconnectCommand(session, handle, channelSequence),
  }));
  const uses = handles
    .filter((handle) => handle.writing)
    .flatMap(({ handleId }): v1.ICommand[] => {
      const handle = { fence: session.fence(), handleId: handleId ?? null };
      return [
        { useHandle: { ...handle, channelSequence } },
        { breakLeases: { ...handle, operation: "write" } },
      ];
    });
  return [...reconnects, ...uses];
}

async function executeAll(core: NodeCore, commands: v1.ICommand[]): Promise<v1.ICommandResult[]> {
  if (commands.length === 1) return [await core.execute(commands[0] ?? {})];
  // Nobody but the session's client gets at its handles: if it is refused, so are they.
  const result = await core.execute({ batch: { commands, firstGuards: true } });
  const results = result.batch?.results ?? [];
  if (results[0]?.error) throw HoldfastError.fromDetail(results[0].error);
  return results;
}

/** Takes the handles into the tables, with their descriptors on the way to being open; answers each as its own call would be. */
function takeUp(
  core: NodeCore,
  session: OwnedSession,
  handles: readonly v1.IReconnectRequest[],
  results: readonly v1.ICommandResult[],
): Promise<v1.IFileResponse[]> {
  let next = handles.length;
  return Promise.all(
    handles.map((request, i) => {
      const reconnect = results[i] ?? {};
      if (!request.writing) return takeUpOne(core, session, reconnect, null, null);
      const [use, broken] = [results[next] ?? {}, results[next + 1] ?? {}];
      next += 2;
      return takeUpOne(core, session, reconnect, use, broken);
    }),
  );
}

async function takeUpOne(
  core: NodeCore,
  session: OwnedSession,
  result: v1.ICommandResult,
  use: v1.ICommandResult | null,
  broken: v1.ICommandResult | null,
): Promise<v1.IFileResponse> {
  try {
    if (result.error) throw HoldfastError.fromDetail(result.error);
    const record = result.open?.handle;
    if (record && use !== null && !use.error) {
      record.channelSequence = session.record.channelSequence ?? 0;
      record.replayEligible = false;
    }
    const reply = reconnected(core, session, result);
    const handle = session.handles.get(idKey(record?.id));
    if (handle !== undefined) prepare(core, handle, broken);
    return await reply;
  } catch (thrown) {
    return { error: HoldfastError.from(thrown).toDetail() };
  }
}

// What the first call would wait for is done, or begun, before it arrives.
function prepare(core: NodeCore, handle: OpenHandle, broken: v1.ICommandResult | null): void {
  if (!handle.record.directory) descriptor(core, handle).catch(() => {});
  // Anything but DONE: somebody has to be waited for, and the write asks again.
  if (broken?.effect?.status !== v1.EffectResult.Status.DONE) return;
  handle.openFile.leasesBroken(handle.record.leaseKey, handle.openFile.leaseGrants);
}

async function within(core: NodeCore, wait: Promise<void>, why: string): Promise<void> {
  let timer: { cancel(): void } | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = core.options.runtime.scheduler.after(core.limits.drainMs, () => resolve("late"));
  });
  const first = await Promise.race([wait, late]);
  timer?.cancel();
  if (first === "late")
    throw new HoldfastError(ErrorCode.NOT_READY, `${core.node}: ${why}`, {
      node: core.node,
      retryAfterMs: 100,
    });
}
