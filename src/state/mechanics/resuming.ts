import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { mutant } from "../mutants.js";
import type { HandleRow } from "../tables/handles.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { deliverBreak } from "./lease-rows.js";
import { noteWriterGone } from "./tails.js";

/**
 * Puts a disconnected handle into its client's hand again, in whichever of the client's sessions asks: a new volatile id,
 * no deadline, and the break that was stored meanwhile goes out now.
 */
export function resumeHandle(
  tx: Tx,
  session: SessionRow,
  handle: HandleRow,
  options: { readonly keepReplayEligible: boolean },
): v1.ICommandResult | null {
  if (handle.session !== session) {
    if (tx.store.effects.ofHandle(handle.id).length > 0)
      return fail(ErrorCode.FILE_NOT_AVAILABLE, "an effect of this handle is still being resolved", {
        retryAfterMs: 100,
      });
    rehome(tx, handle, session);
  }
  handle.connection = session.r.connection;
  handle.volatileId = tx.store.nextHandleNumber();
  if (!options.keepReplayEligible) handle.replayEligible = false;
  tx.touchHandle(handle);
  tx.emitHandle(EventKind.handleResumed, "", handle, `${handle.share}:${handle.path} resumed`);
  const lease = tx.store.leases.of(handle);
  if (lease !== undefined && !mutant.storedBreakLost) deliverBreak(tx, lease);
  tx.wakeHandle(handle);
  return null;
}

/** A handle of another session of the client goes on in this one. */
export function rehome(tx: Tx, handle: HandleRow, session: SessionRow): void {
  const from = handle.session;
  noteWriterGone(tx, handle);
  from.handles.delete(handle);
  if (handle.kind !== v1.HandleKind.PERSISTENT) {
    from.fragile--;
    session.fragile++;
  }
  handle.session = session;
  session.handles.add(handle);
  session.handleTimeoutMinMs = Math.min(session.handleTimeoutMinMs, handle.timeoutMs);
  if (handle.timeoutMs > session.r.handleTimeoutMaxMs) {
    session.r.handleTimeoutMaxMs = handle.timeoutMs;
    tx.touchSession(session);
  }
}
