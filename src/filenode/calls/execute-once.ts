import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { NodeCore } from "../core.js";
import type { Call } from "./call.js";

/** Pause before a call that stays open on a full disk is asked for once more. */
const OPEN_RETRY_MS = 250;
const NONE = new Uint8Array(0);

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

/**
 * The answer on record, where it says what the state would answer to the repeat. Not so for a call that is under way,
 * for one that was set back to run again, and for an open: its repeat resumes the handle where the connection is another
 * one (semantics.md B2, B6), and a handle taken in without that would not protect its file. These stay open until
 * there is room.
 */
async function stored(core: NodeCore, call: Call, full: HoldfastError): Promise<v1.ICommandResult> {
  const { request, session, deadlineMs } = call;
  const slotQuery = { sessionId: session.id, slot: request?.slot ?? 0 };
  const answer = await core.options.coordinator.query({ slot: slotQuery }, deadlineMs);
  if (answer.error) throw HoldfastError.fromDetail(answer.error);
  const slot = answer.slots?.[0];
  const ended = slot?.sequence === request?.sequence && slot?.underWay !== true;
  const bytes = ended ? (slot?.result ?? NONE) : NONE;
  const result: v1.ICommandResult = v1.CommandResult.decode(bytes);
  if (result.error) throw HoldfastError.fromDetail(result.error);
  if (bytes.length === 0 || result.open)
    throw new HoldfastError(
      ErrorCode.OUTCOME_UNKNOWN,
      `the call may still be done; meanwhile ${full.message}`,
      {
        retryAfterMs: OPEN_RETRY_MS,
      },
    );
  core.noteRevision(result.revision);
  result.repeated = true;
  return result;
}
