import { ErrorCode } from "../../wire/errors.js";
import { limits } from "../../wire/limits.js";
import { v1 } from "../../wire/index.js";
import { type Id, idOf } from "../ids.js";
import { mutant } from "../mutants.js";
import { type SessionRow, SlotRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { digestOf } from "./identity.js";

/** Refusals that a client answers by sending the same call again: they use nothing up, and are never stored. */
const RETRYABLE: ReadonlySet<number> = new Set([
  ErrorCode.NOT_LEADER,
  ErrorCode.NO_QUORUM,
  ErrorCode.NOT_OWNER,
  ErrorCode.STALE_EPOCH,
  ErrorCode.LEASE_LOST,
  ErrorCode.NOT_READY,
  ErrorCode.FROZEN,
  ErrorCode.OVERLOADED,
  ErrorCode.STOPPING,
  ErrorCode.FILE_NOT_AVAILABLE,
  // The handle may be open and only not resumed on this connection yet: the client reclaims it and sends the call again.
  ErrorCode.FILE_CLOSED,
  ErrorCode.SERVER_UNAVAILABLE,
  ErrorCode.SHARE_UNAVAILABLE,
  ErrorCode.UNKNOWN_SESSION,
  ErrorCode.USER_SESSION_DELETED,
  ErrorCode.REQUEST_MISMATCH,
  ErrorCode.SEQUENCE_MISORDERED,
]);

/** True for errors after which the same request id may be executed. */
export function isRetryable(error: v1.IErrorDetail | null | undefined): boolean {
  return !!error && RETRYABLE.has(error.code ?? 0);
}

/**
 * Runs a mutating call at most once for its (session, slot, sequence) and stores its answer in the same log entry
 * (semantics.md B6). The same call again gets the same answer with `repeated` set, or, while it is under way, its effect
 * or pending id again; the same id with other arguments is refused and never executed; an older id is refused.
 */
export function onceOnly(
  tx: Tx,
  session: SessionRow,
  request: v1.IRequestId | null | undefined,
  identity: () => Uint8Array,
  run: (digest: Id) => v1.ICommandResult,
): v1.ICommandResult {
  const sequence = request?.sequence ?? 0;
  if (sequence === 0) return run("");
  const number = request?.slot ?? 0;
  if (number >= limits.slotsPerSession)
    return fail(ErrorCode.LIMIT_EXCEEDED, `slot ${number}: a session has ${limits.slotsPerSession} slots`);
  const digest = digestOf(identity());
  const slot = session.slots?.get(number);
  if (slot !== undefined && sequence <= slot.sequence) {
    if (sequence < slot.sequence) return misordered(number, sequence, slot);
    if (slot.digest !== digest && !mutant.requestMismatchIgnored) return mismatch(session, number, sequence);
    if (slot.underWay || slot.result !== null) return repeat(tx, slot);
  } else if (slot?.underWay) {
    return misordered(number, sequence, slot);
  }
  const result = run(digest);
  result.revision = tx.revision;
  if (!isRetryable(result.error) && !session.gone && !mutant.replyNotStored)
    store(tx, session, number, sequence, digest, result, isInterim(result));
  return result;
}

/**
 * Stores the final answer of a call that was under way. A retryable refusal sets the slot back, so that the same call
 * runs again.
 */
export function settle(
  tx: Tx,
  session: SessionRow | undefined,
  request: v1.IRequestId | null | undefined,
  result: v1.ICommandResult,
): void {
  result.revision = tx.revision;
  const sequence = request?.sequence ?? 0;
  if (session === undefined || session.gone || sequence === 0) return;
  const slot = session.slots?.get(request?.slot ?? 0);
  if (slot === undefined || slot.sequence !== sequence || !slot.underWay) return;
  if (isRetryable(result.error)) {
    slot.result = null;
    slot.underWay = false;
  } else {
    slot.result = encodeReply(result);
    slot.underWay = isInterim(result);
  }
  tx.store.touch(slot);
}

/** True when the answer only says that there will be one. */
function isInterim(result: v1.ICommandResult): boolean {
  if (result.error) return false;
  if (result.open) return result.open.status !== v1.OpenResult.Status.DONE;
  if (result.effect) return result.effect.status !== v1.EffectResult.Status.DONE;
  if (result.lock) return result.lock.parked === true;
  if (result.close) return result.close.perform === true;
  return false;
}

function store(
  tx: Tx,
  session: SessionRow,
  number: number,
  sequence: number,
  digest: Id,
  result: v1.ICommandResult,
  underWay: boolean,
): void {
  session.slots ??= new Map();
  let slot = session.slots.get(number);
  if (slot === undefined) {
    slot = new SlotRow(session.r.id, number);
    session.slots.set(number, slot);
  }
  if (slot.sequence !== sequence) slot.takenBack = [];
  slot.sequence = sequence;
  slot.digest = digest;
  slot.result = encodeReply(result);
  slot.underWay = underWay;
  tx.store.touch(slot);
}

function encodeReply(result: v1.ICommandResult): Uint8Array {
  const bytes = v1.CommandResult.encode(result).finish();
  if (bytes.length <= limits.replyBytesMax) return bytes;
  // Only the locks of others make an answer this large. A repeat does without: the file node has them from its load.
  const open = result.open ? { ...result.open, locks: [] } : null;
  return v1.CommandResult.encode({ ...result, open }).finish();
}

function repeat(tx: Tx, slot: SlotRow): v1.ICommandResult {
  const result: v1.ICommandResult = v1.CommandResult.decode(slot.result ?? new Uint8Array(0));
  result.repeated = true;
  if (!slot.underWay) return result;
  // The effect may have a new owner since, the handle other details.
  const effectId = result.open?.effect?.id ?? result.effect?.effect?.id ?? result.close?.effect?.id ?? 0;
  const effect = tx.store.effects.byId.get(effectId)?.r;
  if (effect !== undefined) {
    if (result.open) result.open.effect = { ...effect };
    if (result.effect) result.effect.effect = { ...effect };
    if (result.close) result.close.effect = { ...effect };
  }
  const handle = tx.store.handles.byId.get(idOf(result.open?.handle?.id));
  if (result.open && handle !== undefined) result.open.handle = handle.toRecord();
  return result;
}

function misordered(number: number, sequence: number, slot: SlotRow): v1.ICommandResult {
  return fail(
    ErrorCode.SEQUENCE_MISORDERED,
    slot.underWay
      ? `slot ${number}: call ${slot.sequence} is under way, ${sequence} has to wait`
      : `slot ${number}: call ${sequence} is older than the last one, ${slot.sequence}`,
  );
}

function mismatch(session: SessionRow, number: number, sequence: number): v1.ICommandResult {
  return fail(
    ErrorCode.REQUEST_MISMATCH,
    `session ${session.r.id}, slot ${number}, call ${sequence} was another call with other arguments`,
    { next: "use a new sequence number for a new call" },
  );
}
