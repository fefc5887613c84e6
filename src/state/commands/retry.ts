import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { idOf } from "../ids.js";
import { takeOverApplication } from "../mechanics/app-instance.js";
import { attemptEffect, effectOf } from "../mechanics/effects.js";
import { attemptLock } from "../mechanics/locking.js";
import { attemptOpen } from "../mechanics/opening.js";
import { finishPending, mustWaitOn, removePending } from "../mechanics/parking.js";
import { mutant } from "../mutants.js";
import type { HandleRow } from "../tables/handles.js";
import type { PendingRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { attemptBreak } from "./break-leases.js";
import { attemptDisposition } from "./set-disposition.js";

/**
 * Tries parked calls again whose file has changed, in the order in which they were parked, until nothing changes any
 * more. Each round either ends a call or changes nothing, so it comes to an end.
 */
export function retryWoken(tx: Tx): void {
  while (tx.woken.size > 0) {
    let next: PendingRow | null = null;
    for (const row of tx.woken) if (next === null || row.r.id < next.r.id) next = row;
    if (next === null) return;
    tx.woken.delete(next);
    if (!next.gone) retry(tx, next);
  }
}

function retry(tx: Tx, pending: PendingRow): void {
  const session = tx.store.sessions.byId.get(pending.r.sessionId);
  if (session === undefined) {
    removePending(tx, pending, null);
    return;
  }
  const r = session.r;
  // It is woken again when that is over. Until then its owner could not answer for what it got.
  if (r.frozenBy !== "" || (r.takenOver && !mutant.lockDuringTakeover)) return;
  const result = attempt(tx, session, pending);
  if (!mustWaitOn(result)) finishPending(tx, pending, result);
}

function attempt(tx: Tx, session: SessionRow, pending: PendingRow): v1.ICommandResult {
  const command = v1.Command.decode(pending.r.command);
  const digest = idOf(pending.r.requestDigest);
  const handle = tx.store.handles.byId.get(idOf(pending.r.handleId)) ?? null;
  if (command.openHandle) {
    const open = command.openHandle;
    // What was under way when it came may have become an open of the old instance.
    const takeover = takeOverApplication(tx, session, open);
    if (takeover !== null && "refuse" in takeover) return takeover.refuse;
    return attemptOpen(tx, { session, command: open, digest, parked: pending, takeover });
  }
  if (command.beginEffect) return retryEffect(tx, session, handle, command.beginEffect, pending);
  if (handle === null || !handle.isOpen)
    return fail(ErrorCode.FILE_CLOSED, "the handle of the waiting call was closed");
  if (command.lock)
    return attemptLock(tx, { session, handle, command: command.lock, digest, parked: pending });
  if (command.setDisposition)
    return attemptDisposition(tx, {
      session,
      handle,
      command: command.setDisposition,
      digest,
      parked: pending,
    });
  if (command.breakLeases) return attemptBreak(tx, session, handle, command.breakLeases, pending);
  return fail(ErrorCode.INTERNAL, "a call was parked that cannot be tried again");
}

function retryEffect(
  tx: Tx,
  session: SessionRow,
  handle: HandleRow | null,
  command: v1.IBeginEffect,
  pending: PendingRow,
): v1.ICommandResult {
  if (pending.r.handleId.length > 0 && (handle === null || !handle.isOpen))
    return fail(ErrorCode.FILE_CLOSED, "the handle of the waiting call was closed");
  const digest = idOf(pending.r.requestDigest);
  const effect = effectOf(tx, session, handle, command, digest);
  return attemptEffect(tx, { session, command, effect, handle, digest, parked: pending });
}
