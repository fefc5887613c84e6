import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { idOf, shortHex } from "../ids.js";
import { closeHandle } from "../mechanics/closing.js";
import { mutant } from "../mutants.js";
import { settleSession } from "../mechanics/takeover.js";
import { fail, type Tx } from "../tx.js";

/**
 * Nobody resumed a handle in time. Names the connection and the deadline that the leader saw: a resume that was committed
 * first wins, and the promise of at least the timeout is kept (semantics.md A7, A8).
 */
export function expireHandle(tx: Tx, command: v1.IExpireHandle): v1.ICommandResult {
  const id = idOf(command.handleId);
  const handle = tx.store.handles.byId.get(id);
  if (handle === undefined || handle.state !== v1.HandleState.HANDLE_OPEN)
    return fail(ErrorCode.UNKNOWN_HANDLE, `handle ${shortHex(id)} is not open`);
  settleSession(tx, handle.session);
  const deadline = handle.deadlineMs();
  const same = handle.connection === (command.connection ?? 0) && deadline === (command.deadlineMs ?? 0);
  if ((handle.isConnected || !same) && !mutant.expireWithoutIncarnation)
    return fail(ErrorCode.NO_CHANGE, `handle ${shortHex(id)} was resumed`);
  if ((deadline === 0 || tx.nowMs < deadline) && !mutant.expireEarly && !mutant.expireWithoutIncarnation)
    return fail(ErrorCode.NO_CHANGE, `handle ${shortHex(id)} has ${deadline - tx.nowMs} ms left`);
  closeHandle(tx, handle, "expired", "nobody resumed it in time");
  return {};
}
