import { v1 } from "../../wire/index.js";
import { LeaseBit } from "../rules/lease-state.js";
import type { HandleRow } from "../tables/handles.js";
import type { SessionRow } from "../tables/sessions.js";
import type { Tx } from "../tx.js";
import { closeHandle } from "./closing.js";
import { byHandleId } from "./order.js";

/** Whether a handle of each kind outlives its connection (semantics.md A5). */
const SURVIVES: Record<v1.HandleKind, (tx: Tx, handle: HandleRow) => boolean> = {
  [v1.HandleKind.HANDLE_KIND_UNSPECIFIED]: () => false,
  [v1.HandleKind.PLAIN]: () => false,
  [v1.HandleKind.DURABLE]: durableSurvives,
  [v1.HandleKind.RESILIENT]: () => true,
  [v1.HandleKind.PERSISTENT]: () => true,
};

/** Only with H; and with locks only while W lets nobody else at the data. */
function durableSurvives(tx: Tx, handle: HandleRow): boolean {
  const lease = tx.store.leases.of(handle);
  if (lease === undefined || lease.r.breaking || (lease.r.state & LeaseBit.handle) === 0) return false;
  return handle.locks.length === 0 || (lease.r.state & LeaseBit.write) !== 0;
}

/** Closes what does not outlive the connection that has just ended. Costs nothing when all handles are persistent. */
export function closeAtDisconnect(tx: Tx, session: SessionRow): void {
  if (session.fragile === 0) return;
  const doomed = [...session.handles].filter((handle) => handle.isOpen && !SURVIVES[handle.kind](tx, handle));
  for (const handle of doomed.sort(byHandleId))
    closeHandle(tx, handle, "disconnect", "its connection ended, which it does not outlive");
}
