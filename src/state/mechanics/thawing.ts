import { EventKind } from "../events.js";
import type { SessionRow } from "../tables/sessions.js";
import type { Tx } from "../tx.js";

/** A session is not handed over any more: what its calls waited for goes on, and its owner takes new ones. */
export function thaw(tx: Tx, session: SessionRow, operationId: string): void {
  if (operationId === "" || session.r.frozenBy !== operationId) return;
  session.r.frozenBy = "";
  tx.touchSession(session);
  tx.wakeSession(session);
  tx.emitSession(
    EventKind.sessionFrozen,
    session.r.owner,
    session,
    `session ${session.r.id} is thawed by operation ${operationId}`,
  );
}
