import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { idOf } from "../ids.js";
import { checkHandleFence, unknownHandle } from "../mechanics/fence.js";
import { advanceSequence } from "../mechanics/using.js";
import { fail, failed, type Tx } from "../tx.js";

/**
 * The first read or write on a handle proves that its client saw the answer of the create: from now on a replay of that
 * create is none (semantics.md A4). A newer channel sequence is remembered over a change of owner.
 */
export function useHandle(tx: Tx, command: v1.IUseHandle): v1.ICommandResult {
  const found = checkHandleFence(tx, command.fence, idOf(command.handleId));
  if (!("handle" in found)) return failed(found);
  const { handle, session } = found;
  if (!handle.isOpen || !handle.isConnected) return failed(unknownHandle(session, handle.id));
  const age = advanceSequence(tx, handle, command.channelSequence ?? 0);
  if (age === "stale")
    return fail(ErrorCode.FILE_NOT_AVAILABLE, "the channel sequence is older than the handle's");
  if (handle.replayEligible) {
    handle.replayEligible = false;
    tx.touchHandle(handle);
  }
  return {};
}
