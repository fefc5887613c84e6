import { ErrorCode, errorDetail } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { bytesOf, idOf, shortHex } from "../ids.js";
import type { HandleRow } from "../tables/handles.js";
import type { NodeRow } from "../tables/records.js";
import { sessionRecord, SessionRow } from "../tables/sessions.js";
import type { Tx } from "../tx.js";
import { markDisconnected } from "./ownership.js";
import { finishPending } from "./parking.js";
import { rehome } from "./resuming.js";

/**
 * Moves one handle to another node without the rest of its session: it gets a session of its own there, derived from the
 * one it leaves. So everything that makes a session outlive its servers holds for it too: fence, reply cache, takeover,
 * expiry. The client takes the derived session up with the resume token that it has; handle id, locks, lease, delete mark
 * and channel sequence are the handle's and go along.
 */
export function splitOff(tx: Tx, handle: HandleRow, to: NodeRow, why: string): SessionRow {
  const from = handle.session;
  const derived = derive(tx, from, to);
  tx.store.sessions.add(derived);
  rehome(tx, handle, derived);
  handle.connection = derived.r.connection;
  handle.volatileId = tx.store.nextHandleNumber();
  markDisconnected(tx, derived);
  tx.touchSession(derived);
  tx.touchHandle(handle);
  refuseParked(tx, from, handle);
  tx.emitSession(
    EventKind.sessionMoved,
    "",
    derived,
    `session ${derived.r.id} was derived from session ${from.r.id} with one handle: ${why}`,
  );
  tx.emit(
    EventKind.handleMoved,
    from.r.owner,
    `handle ${shortHex(handle.id)} moved from ${from.r.owner} to ${to.r.name}, as session ${derived.r.id}`,
    { handleId: bytesOf(handle.id), sessionId: from.r.id, handle: handle.toRecord() },
  );
  return derived;
}

function derive(tx: Tx, from: SessionRow, to: NodeRow): SessionRow {
  const { r } = from;
  return new SessionRow(
    sessionRecord({
      id: tx.store.nextSessionId(),
      clientGuid: r.clientGuid,
      principal: r.principal,
      clientName: r.clientName,
      owner: to.r.name,
      ownerIncarnation: to.r.incarnation,
      previousOwner: r.owner,
      // Above all that was ever said in the name of this handle.
      epoch: r.epoch + 1,
      timeoutMs: r.timeoutMs,
      connected: true,
      connection: 1,
      channelSequence: r.channelSequence,
      createdMs: tx.nowMs,
      resumeToken: r.resumeToken,
      derivedFrom: r.id,
    }),
  );
}

/** What the handle's calls waited for they wait for again where it is now. */
function refuseParked(tx: Tx, from: SessionRow, handle: HandleRow): void {
  for (const pending of tx.store.pending.ofSession(from.r.id))
    if (idOf(pending.r.handleId) === handle.id) finishPending(tx, pending, { error: movedTo(tx, handle) });
}

/** Where a handle is that a session asks for which it has left; retryable, so nothing of it is kept as an answer. */
export function movedTo(tx: Tx, handle: HandleRow): v1.IErrorDetail {
  const { r } = handle.session;
  return errorDetail(
    ErrorCode.NOT_OWNER,
    `handle ${shortHex(handle.id)} was moved to ${r.owner}, as session ${r.id}`,
    {
      owner: tx.store.address(r.owner),
      epoch: r.epoch,
      sessionId: r.id,
      next: `resume session ${r.id} with this session's resume token, then the handle`,
    },
  );
}

/** True when the handle left this session, or one that had it from it, to move alone. */
export function leftBySplit(tx: Tx, session: SessionRow, handle: HandleRow): boolean {
  if (handle.session === session || handle.client !== session.client) return false;
  for (let at: SessionRow | undefined = handle.session, hops = 0; at !== undefined && hops < 16; hops++) {
    if (at === session) return idOf(session.r.resumeToken) === idOf(handle.session.r.resumeToken);
    at = tx.store.sessions.byId.get(at.r.derivedFrom);
  }
  return false;
}
