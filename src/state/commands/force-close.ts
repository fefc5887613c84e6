import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { idOf, shortHex } from "../ids.js";
import { closeHandle } from "../mechanics/closing.js";
import { settleSession } from "../mechanics/takeover.js";
import { fail, type Tx } from "../tx.js";
import { firstProblem, labelProblem } from "../validate.js";

/** An operator closes a handle. Its client learns of it at its next call, or by a notice of its owner. */
export function forceClose(tx: Tx, command: v1.IForceClose): v1.ICommandResult {
  const problem = firstProblem(
    labelProblem("reason", command.reason, true),
    labelProblem("requested by", command.requestedBy, true),
  );
  if (problem !== null) return problem;
  const id = idOf(command.handleId);
  const handle = tx.store.handles.byId.get(id);
  if (handle === undefined) return fail(ErrorCode.UNKNOWN_HANDLE, `no handle ${shortHex(id)} is known`);
  if (!handle.isInPlace || (!handle.isOpen && handle.pendingId === 0))
    return fail(ErrorCode.NO_CHANGE, `handle ${shortHex(id)} is not open`);
  settleSession(tx, handle.session);
  if (!handle.isInPlace) return fail(ErrorCode.NO_CHANGE, `handle ${shortHex(id)} ended with its server`);
  const running = tx.store.effects.ofHandle(handle.id)[0];
  if (running !== undefined)
    return fail(ErrorCode.NOT_READY, `effect ${running.r.id} of the handle is under way`, {
      retryAfterMs: 50,
    });
  const by = command.requestedBy ? ` by ${command.requestedBy}` : "";
  closeHandle(tx, handle, "forced", `closed${by}${command.reason ? `: ${command.reason}` : ""}`);
  return { handle: handle.toRecord() };
}
