import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { idOf, shortHex } from "../ids.js";
import { closeHandle } from "../mechanics/closing.js";
import { mayRun } from "../mechanics/ownership.js";
import { settleSession } from "../mechanics/takeover.js";
import { fail, type Tx } from "../tx.js";
import { firstProblem, labelProblem } from "../validate.js";

/**
 * An operator closes a handle. Its client learns of it at its next call, or by a notice of its owner. While its client has
 * it in hand the owner closes it, when what runs on it has ended: a write that lands later would land in the file of
 * whoever was let in.
 */
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
  const text = `closed${by}${command.reason ? `: ${command.reason}` : ""}`;
  if (command.whenIdle && handle.isOpen && handle.isConnected && mayRun(tx, handle.session)) {
    tx.emitHandle(EventKind.handleClosing, handle.ownerNode, handle, text);
    return fail(ErrorCode.NOT_READY, `${handle.ownerNode} ends what runs on the handle`, {
      retryAfterMs: 20,
    });
  }
  closeHandle(tx, handle, "forced", text);
  return { handle: handle.toRecord() };
}
