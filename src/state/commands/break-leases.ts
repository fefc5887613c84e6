import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { idOf } from "../ids.js";
import { breakLeases } from "../mechanics/breaks.js";
import { noteChanged } from "../mechanics/changes.js";
import { checkHandleFence, unknownHandle } from "../mechanics/fence.js";
import { waitingText } from "../mechanics/holders.js";
import { park } from "../mechanics/parking.js";
import { closedTail, noteEndMoved } from "../mechanics/tails.js";
import { markUsed } from "../mechanics/using.js";
import { isBreakOperation } from "../rules/lease-break.js";
import type { HandleRow } from "../tables/handles.js";
import type { PendingRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";
import { printable } from "../validate.js";

/** A file node is about to do something on a handle that the leases of others do not allow (semantics.md F3). */
export function breakLeasesCommand(tx: Tx, command: v1.IBreakLeases): v1.ICommandResult {
  const found = checkHandleFence(tx, command.fence, idOf(command.handleId));
  if (!("handle" in found)) return failed(found);
  const { session, handle } = found;
  if (!handle.isOpen || !handle.isConnected) return failed(unknownHandle(session, handle.id));
  return attemptBreak(tx, session, handle, command, null);
}

/** Breaks, and answers once nothing has to be waited for. */
export function attemptBreak(
  tx: Tx,
  session: SessionRow,
  handle: HandleRow,
  command: v1.IBreakLeases,
  parked: PendingRow | null,
): v1.ICommandResult {
  const operation = command.operation ?? "";
  if (!isBreakOperation(operation))
    return fail(ErrorCode.INVALID_ARGUMENT, `"${printable(operation)}" is no operation that breaks leases`);
  markUsed(tx, handle);
  const waiting = breakLeases(tx, handle.share, handle.fileId, operation, handle);
  const end = command.end ?? 0;
  const tail = end === 0 ? null : closedTail(tx, handle.share, handle.fileId);
  const closed = tail !== null && tail.from < end ? tail : null;
  if (waiting.length === 0 && closed === null) {
    if (operation === "write") noteChanged(tx, handle);
    // An append that looked at the end before this write, and whose announcement is still on its way.
    if (end > 0) noteEndMoved(tx, handle);
    const { DONE } = v1.EffectResult.Status;
    // Only this write was let go: others may go further.
    if (tail !== null) return { effect: { status: DONE, tailClosed: true, tailFrom: tail.from } };
    return { effect: { status: DONE } };
  }
  const pending =
    parked ??
    park(tx, session, {
      command: { breakLeases: command },
      request: null,
      digest: "",
      handleId: handle.id,
      share: handle.share,
      path: handle.path,
      fileId: handle.fileId,
      waitsFor: closed === null ? waitingText(waiting) : closed.text,
    });
  return { effect: { status: v1.EffectResult.Status.PARKED, pendingId: pending.r.id } };
}
