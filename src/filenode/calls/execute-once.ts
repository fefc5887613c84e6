import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { NodeCore } from "../core.js";
import type { Call } from "./call.js";

/** Pause before a call that is under way on a full disk is asked for once more. */
const UNDER_WAY_RETRY_MS = 250;

/**
 * Executes a command that may not find room. A leader whose disk is full refuses it before the log, without a look at what
 * is on record. Of a call that was sent before, that says nothing: told DISK_FULL, its client would believe that it
 * holds no lock, and hold one for ever; and its next lock, under the same number of its bucket, would be taken for the
 * repeat of this one and be answered with a lock that nobody holds. So the record is asked (semantics.md B6).
 */
export async function executeOnce(
  core: NodeCore,
  call: Call,
  command: v1.ICommand,
): Promise<v1.ICommandResult> {
  const asked = call.mayBeOnRecord;
  call.mayBeOnRecord = true;
  try {
    return await core.execute(command, call.deadlineMs);
  } catch (thrown) {
    const error = HoldfastError.from(thrown);
    if (!asked || error.code !== ErrorCode.DISK_FULL || (call.request?.sequence ?? 0) === 0) throw error;
    if (await useUp(core, call)) throw error;
    return stored(core, call, error);
  }
}

/**
 * Uses the request id up for something that has no effect and needs no room: true when it has never been used, and now
 * never will be, whatever copies of the call are still on their way. False: the call is on record.
 */
async function useUp(core: NodeCore, call: Call): Promise<boolean> {
  const cancelPending = { fence: call.session.fence(), request: call.request, pendingId: 0 };
  const { error } = await core.options.coordinator.execute({ cancelPending }, call.deadlineMs);
  if (error?.code === ErrorCode.REQUEST_MISMATCH) return false;
  if (error && error.code !== ErrorCode.NO_CHANGE) throw HoldfastError.fromDetail(error);
  return true;
}

/** What the state would have answered to the repeat. */
async function stored(core: NodeCore, call: Call, full: HoldfastError): Promise<v1.ICommandResult> {
  const { request, session, deadlineMs } = call;
  const slotQuery = { sessionId: session.id, slot: request?.slot ?? 0 };
  const answer = await core.options.coordinator.query({ slot: slotQuery }, deadlineMs);
  if (answer.error) throw HoldfastError.fromDetail(answer.error);
  const slot = answer.slots?.[0];
  // A parked call and an effect need no room to end: then the answer is there.
  if (slot === undefined || slot.sequence !== request?.sequence || slot.underWay)
    throw new HoldfastError(ErrorCode.OUTCOME_UNKNOWN, `the call is under way; meanwhile ${full.message}`, {
      retryAfterMs: UNDER_WAY_RETRY_MS,
    });
  const result: v1.ICommandResult = v1.CommandResult.decode(slot.result ?? new Uint8Array(0));
  if (result.error) throw HoldfastError.fromDetail(result.error);
  core.noteRevision(result.revision);
  result.repeated = true;
  return result;
}
