import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { type Id, idOf } from "../ids.js";
import { breakLeases } from "../mechanics/breaks.js";
import { checkHandleFence, unknownHandle } from "../mechanics/fence.js";
import { waitingText } from "../mechanics/holders.js";
import { dispositionIdentity } from "../mechanics/identity.js";
import { park } from "../mechanics/parking.js";
import { onceOnly } from "../mechanics/reply-cache.js";
import { markUsed } from "../mechanics/using.js";
import { Access } from "../rules/access.js";
import type { HandleRow } from "../tables/handles.js";
import type { PendingRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";

/** Marks a file for deletion at its last close, or takes the mark away (semantics.md F4). */
export function setDisposition(tx: Tx, command: v1.ISetDisposition): v1.ICommandResult {
  const found = checkHandleFence(tx, command.fence, idOf(command.handleId));
  if (!("handle" in found)) return failed(found);
  const { session, handle } = found;
  return onceOnly(
    tx,
    session,
    command.request,
    () => dispositionIdentity(command),
    (digest) => {
      if (!handle.isOpen || !handle.isConnected) return failed(unknownHandle(session, handle.id));
      return attemptDisposition(tx, { session, handle, command, digest, parked: null });
    },
  );
}

/** A disposition that is to be set, for the first time or again after it was parked. */
export interface DispositionAttempt {
  readonly session: SessionRow;
  readonly handle: HandleRow;
  readonly command: v1.ISetDisposition;
  readonly digest: Id;
  readonly parked: PendingRow | null;
}

/** Checks and sets; leases with H of others are broken first. */
export function attemptDisposition(tx: Tx, attempt: DispositionAttempt): v1.ICommandResult {
  const { handle, command } = attempt;
  markUsed(tx, handle);
  const where = `${handle.share}:${handle.path}`;
  if ((handle.grantedAccess & Access.delete) === 0)
    return fail(ErrorCode.ACCESS_DENIED, `${where}: the handle has no right to delete`);
  if (!command.delete) {
    for (const other of tx.store.handles.paths.at(handle.share, handle.path)) {
      if (!other.deleteSet || other.fileId !== handle.fileId) continue;
      other.deleteSet = false;
      tx.touchHandle(other);
    }
    tx.wakeHandle(handle);
    return done(handle);
  }
  if (command.observed?.readOnly) return fail(ErrorCode.CANNOT_DELETE, `${where} is read-only`);
  if (handle.directory && !command.directoryEmpty)
    return fail(ErrorCode.DIRECTORY_NOT_EMPTY, `${where} is not empty`);
  const waiting = breakLeases(tx, handle.share, handle.fileId, "delete", handle);
  if (waiting.length > 0) return parkDisposition(tx, attempt, waitingText(waiting));
  handle.deleteSet = true;
  tx.touchHandle(handle);
  return done(handle);
}

function done(handle: HandleRow): v1.ICommandResult {
  return { effect: { status: v1.EffectResult.Status.DONE, handle: handle.toRecord() } };
}

function parkDisposition(tx: Tx, attempt: DispositionAttempt, waitsFor: string): v1.ICommandResult {
  const { handle, command } = attempt;
  const pending =
    attempt.parked ??
    park(tx, attempt.session, {
      command: { setDisposition: command },
      request: command.request,
      digest: attempt.digest,
      handleId: handle.id,
      share: handle.share,
      path: handle.path,
      fileId: handle.fileId,
      waitsFor,
    });
  return { effect: { status: v1.EffectResult.Status.PARKED, pendingId: pending.r.id } };
}
