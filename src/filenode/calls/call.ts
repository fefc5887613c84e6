import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { toBigInt, type v1 } from "../../wire/index.js";
import type { NodeCore } from "../core.js";
import { executeOnce } from "./execute-once.js";
import { filenodeMutants } from "../mutants.js";
import { idKey } from "../ids.js";
import type { SequenceTicket } from "../channel-sequence.js";
import type { OpenHandle, OwnedSession, Running } from "../sessions.js";

/** One call of a client on an attached session, as the handlers see it. */
export interface Call {
  readonly session: OwnedSession;
  /** The channel by which it came. Not one of the session's any more: its client has gone on without it. */
  readonly channel: number;
  /** Names a mutating call for ever; null: the client does not want its reply kept. */
  readonly request: v1.IRequestId | null;
  readonly channelSequence: number;
  /** It may meet what an earlier run of it did: said by the client, or found out when the outcome was on record. */
  replay: boolean;
  /** A command of it has gone to the log before, in this run or one that its client knows of. */
  mayBeOnRecord: boolean;
  /** On the monotonic clock; undefined: none. */
  readonly deadlineMs: number | undefined;
  /** Of the parked command that this call waits for; zero: it does not wait. */
  parkedId: number;
  /** It has not counted as running for a while: a close that came meanwhile does not wait for it. */
  wasApart: boolean;
  /** The client has asked for its end. */
  cancelled: boolean;
  /** Told when the call is parked. */
  onParked?: () => void;
  /** Counters in which this call stands as running: not while it is parked, for then nothing of it runs at this node. */
  readonly counted: Running[];
}

/** The part of a response that a handler makes. */
export type Reply = Omit<v1.IFileResponse, "id">;

/** A 64-bit field that must be a plain number here: no file reaches beyond 2^53. */
export function position(value: number | null | undefined, what: string): number {
  const wide = toBigInt(value);
  if (wide > BigInt(Number.MAX_SAFE_INTEGER))
    throw new HoldfastError(ErrorCode.INVALID_PARAMETER, `${what} ${wide} is beyond what a file can hold`);
  return Number(wide);
}

/** The handle that both halves of the name mean; FILE_CLOSED otherwise (semantics.md A1). */
export function handleOf(session: OwnedSession, id: v1.IHandleId | null | undefined): OpenHandle {
  const handle = findHandle(session, id);
  if (handle !== undefined && handle.closing === 0) return handle;
  throw new HoldfastError(ErrorCode.FILE_CLOSED, "the handle is not open on this connection", {
    next: "reconnect it by its persistent id, or open the file again",
  });
}

/** The same without an error. */
export function findHandle(
  session: OwnedSession,
  id: v1.IHandleId | null | undefined,
): OpenHandle | undefined {
  const handle = session.handles.get(idKey(id?.persistent));
  if (handle === undefined || handle.closed) return undefined;
  if (handle.record.volatileId !== id?.volatile && !filenodeMutants.ignoreVolatileId) return undefined;
  return handle;
}

/** Throws ACCESS_DENIED unless the handle was granted one of these bits. */
export function needAccess(handle: OpenHandle, bits: number, what: string): void {
  if ((handle.access & bits) !== 0) return;
  throw new HoldfastError(
    ErrorCode.ACCESS_DENIED,
    `${what} ${handle.path}: the handle was opened without this right (granted 0x${handle.access.toString(16)})`,
  );
}

/**
 * A call waits: meanwhile it does not count as running, or whoever waits for the end of all that runs, this call itself
 * among them, might wait for ever. What it does afterwards it has to ask for again (`stillWanted`).
 */
export async function apart<T>(call: Call, wait: () => Promise<T>): Promise<T> {
  call.wasApart = true;
  for (const running of call.counted) running.end();
  try {
    return await wait();
  } finally {
    for (const running of call.counted) running.begin();
  }
}

/** Throws UNKNOWN_SESSION once the session's client has begun to end it: nothing may land after others have its files. */
export function refuseWhileEnding(session: OwnedSession): void {
  if (session.ending === 0) return;
  throw new HoldfastError(ErrorCode.UNKNOWN_SESSION, `session ${session.id} is being ended by its client`);
}

/**
 * Executes a command and, if the state parks it, waits for the event that ends it. When events were lost it asks again:
 * the request id makes that harmless.
 */
export async function settle(core: NodeCore, call: Call, command: v1.ICommand): Promise<v1.ICommandResult> {
  for (;;) {
    const result = await executeOnce(core, call, command);
    const pendingId = parkedId(result);
    if (pendingId === 0) return result;
    call.parkedId = pendingId;
    call.onParked?.();
    if (call.cancelled) await cancelParked(core, call);
    const done = await apart(call, () => core.pending.wait(pendingId, call.session.id));
    call.parkedId = 0;
    if (done === null) continue;
    core.noteRevision(done.revision);
    if (done.error) throw HoldfastError.fromDetail(done.error);
    return done;
  }
}

function parkedId(result: v1.ICommandResult): number {
  // PARKED is 3 in both enumerations.
  if (result.open?.status === 3) return result.open.pendingId ?? 0;
  if (result.effect?.status === 3) return result.effect.pendingId ?? 0;
  return result.lock?.parked ? (result.lock.pendingId ?? 0) : 0;
}

/** Ends a parked call: it answers CANCELLED, unless its event came first. */
export async function cancelParked(core: NodeCore, call: Call): Promise<void> {
  const pendingId = call.parkedId;
  if (pendingId === 0) return;
  const result = await core.options.coordinator.execute({
    // Without a request id: the one of the call belongs to the call.
    cancelPending: { fence: call.session.fence(), pendingId },
  });
  // Refused means that it ended meanwhile; its event says how.
  if (result.error) return;
  core.pending.done(pendingId, { error: { code: ErrorCode.CANCELLED, message: "cancelled by the client" } });
}

/** What an operation on a handle does. */
export interface OperationRules {
  /** One that an older channel sequence stops (semantics.md B4). */
  readonly modifying: boolean;
  /** It goes through the log itself, which records the use of the handle there. */
  readonly recorded: boolean;
}

/**
 * Runs an operation on a handle under the rules that hold for all of them: channel sequence, first use, lease and
 * ownership before it starts and before its answer.
 */
export async function onHandle<T>(
  core: NodeCore,
  call: Call,
  handle: OpenHandle,
  rules: OperationRules,
  operation: () => Promise<T>,
): Promise<T> {
  core.admit(call.session);
  // From here on a close of the handle waits for it.
  handle.running.begin();
  call.counted.push(handle.running);
  let ticket: SequenceTicket | null = null;
  try {
    ticket = await enter(core, call, handle, rules.modifying);
    const result = rules.recorded ? await operation() : await withFirstUse(core, handle, operation);
    core.admitReply(call.session);
    return result;
  } finally {
    call.counted.pop();
    handle.running.end();
    if (ticket !== null) handle.sequence.release(ticket);
  }
}

async function enter(
  core: NodeCore,
  call: Call,
  handle: OpenHandle,
  modifying: boolean,
): Promise<SequenceTicket> {
  const admission = handle.sequence.admit(call.channelSequence, call.replay, modifying);
  if (admission.advanced) await recordUse(core, handle);
  if (!admission.admitted)
    throw new HoldfastError(
      ErrorCode.FILE_NOT_AVAILABLE,
      `${handle.path}: channel sequence ${call.channelSequence} is stale or an older request still runs (now ${handle.sequence.current})`,
      { retryAfterMs: 50 },
    );
  return admission.ticket;
}

async function withFirstUse<T>(core: NodeCore, handle: OpenHandle, operation: () => Promise<T>): Promise<T> {
  if (!handle.record.replayEligible) return operation();
  const [result] = await Promise.all([operation(), firstUse(core, handle)]);
  return result;
}

/** The first use of a handle shows that the client saw its create's reply: it cannot be replayed any more. */
export function firstUse(core: NodeCore, handle: OpenHandle): Promise<void> {
  if (!handle.record.replayEligible) return NOTHING_TO_RECORD;
  handle.use ??= recordUse(core, handle).then(
    () => {
      handle.record = { ...handle.record, replayEligible: false };
    },
    (error: unknown) => {
      handle.use = null;
      throw error;
    },
  );
  return handle.use;
}

const NOTHING_TO_RECORD = Promise.resolve();

async function recordUse(core: NodeCore, handle: OpenHandle): Promise<void> {
  const channelSequence = handle.sequence.current;
  await core.execute({
    useHandle: { fence: handle.session.fence(), handleId: handle.record.id ?? null, channelSequence },
  });
  handle.recordedSequence = channelSequence;
}
