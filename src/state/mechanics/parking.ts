import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { bytesOf, idOf } from "../ids.js";
import { type PendingRecord, PendingRow, pendingRecord } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import type { Tx } from "../tx.js";
import { announceLocks } from "./file-locks.js";
import { settle } from "./reply-cache.js";

/** What is parked: a call of a session that waits for something to happen to a file. */
export interface Parked {
  readonly command: v1.ICommand;
  readonly request: v1.IRequestId | null | undefined;
  readonly digest: string;
  readonly handleId: string;
  readonly share: string;
  readonly path: string;
  readonly targetPath?: string;
  readonly fileId: string;
  readonly waitsFor: string;
}

/** Parks a call. It survives a change of owner; its answer is an event to the owner of its session then. */
export function park(tx: Tx, session: SessionRow, parked: Parked): PendingRow {
  const record: v1.IPendingRecord = {
    id: tx.store.nextPendingId(),
    sessionId: session.r.id,
    handleId: bytesOf(parked.handleId),
    requestDigest: bytesOf(parked.digest),
    command: v1.Command.encode(parked.command).finish(),
    sinceRevision: tx.revision,
    waitsFor: parked.waitsFor,
    share: parked.share,
    path: parked.path,
    targetPath: parked.targetPath ?? "",
    fileId: parked.fileId,
  };
  if (parked.request) record.request = { ...parked.request };
  const row = new PendingRow(pendingRecord(record) as PendingRecord);
  tx.store.pending.add(row);
  tx.store.touch(row);
  return row;
}

/** Takes a parked call out, stores its answer and sends it to the owner of its session. */
export function finishPending(tx: Tx, pending: PendingRow, result: v1.ICommandResult): void {
  if (pending.gone) return;
  const session = tx.store.sessions.byId.get(pending.r.sessionId);
  removePending(tx, pending, result);
  settle(tx, session, pending.r.request, result);
  tx.emit(
    EventKind.pendingDone,
    session?.r.owner ?? "",
    `call ${pending.r.id}: ${result.error ? (result.error.message ?? "refused") : "done"}`,
    {
      sessionId: pending.r.sessionId,
      handleId: pending.r.handleId,
      ...(session ? { clientGuid: session.r.clientGuid } : {}),
      pendingDone: { pendingId: pending.r.id, result },
    },
  );
}

/** Takes a parked call out. The handle that it reserved goes with it unless it got that handle. */
export function removePending(tx: Tx, pending: PendingRow, result: v1.ICommandResult | null): void {
  const { store } = tx;
  store.pending.remove(pending);
  store.drop(pending);
  tx.woken.delete(pending);
  const handle = store.handles.byId.get(idOf(pending.r.handleId));
  // Who waits for what this call kept closed, at whatever name of the file.
  if (pending.r.prepared || pending.r.ending.length > 0)
    tx.wake(pending.r.share, pending.r.path, pending.r.fileId);
  if (handle === undefined) return;
  if (handle.pendingId === pending.r.id) {
    handle.pendingId = 0;
    tx.touchHandle(handle);
    if (handle.state === v1.HandleState.HANDLE_PENDING && (result === null || result.error)) {
      store.handles.displace(handle);
      store.handles.remove(handle);
      store.drop(handle);
    }
  } else if (pending.r.prepared && (result === null || result.error)) {
    // The nodes that enforce the announced ranges may let go of them.
    announceLocks(tx, handle);
  }
  // Whoever had his turn behind it.
  if (result === null || result.error) tx.wakeHandle(handle);
}

/** A final answer, or one that only says to wait on. */
export function mustWaitOn(result: v1.ICommandResult): boolean {
  if (result.error) return false;
  return (
    result.open?.status === v1.OpenResult.Status.PARKED ||
    result.effect?.status === v1.EffectResult.Status.PARKED ||
    result.lock?.parked === true
  );
}
