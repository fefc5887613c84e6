import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { idOf } from "../ids.js";
import { mutant } from "../mutants.js";
import { closeAtDisconnect } from "../mechanics/disconnecting.js";
import { checkNode } from "../mechanics/fence.js";
import { markDisconnected, moveSession, noteReturn } from "../mechanics/ownership.js";
import { sessionResult } from "../mechanics/reply.js";
import { settleSession } from "../mechanics/takeover.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";

/**
 * A client is back. At the owner it goes on there; at another node its session moves to it, provided that nothing can be
 * running at the old one: it is down, or it said so (DisconnectSession). The connection number grows, so that an expiry or
 * a disconnect that meant the earlier one changes nothing; handles are resumed one by one.
 */
export function connectSession(tx: Tx, command: v1.IConnectSession): v1.ICommandResult {
  const session = tx.store.sessions.byId.get(command.sessionId ?? 0);
  if (session === undefined || session.client !== idOf(command.clientGuid))
    return fail(
      ErrorCode.UNKNOWN_SESSION,
      `session ${command.sessionId ?? 0} is unknown, expired or closed`,
      {
        next: "open a new session",
      },
    );
  const r = session.r;
  const isClient =
    r.principal === (command.principal ?? "") && idOf(r.resumeToken) === idOf(command.resumeToken);
  if (!isClient && !mutant.principalUnchecked)
    return fail(ErrorCode.ACCESS_DENIED, `session ${r.id} belongs to another principal or client`);
  if (r.replacedBy !== 0)
    return fail(ErrorCode.USER_SESSION_DELETED, `session ${r.id} was replaced by session ${r.replacedBy}`);
  const node = command.node ?? "";
  const incarnation = command.nodeIncarnation ?? 0;
  const refused = checkNode(tx, node, incarnation);
  if (refused !== null) return failed(refused);
  settleSession(tx, session);
  if (r.frozenBy !== "")
    return fail(ErrorCode.FROZEN, `session ${r.id} is being transferred (operation ${r.frozenBy})`, {
      owner: tx.store.address(r.owner),
      epoch: r.epoch,
      retryAfterMs: 50,
    });
  const here = r.owner === node && r.ownerIncarnation === incarnation;
  if (!here) {
    const stays = moveProblem(tx, session, node);
    if (stays !== null) return stays;
    moveSession(tx, session, node, incarnation, "its client went there");
  }
  connect(tx, session, command);
  return sessionResult(session);
}

function moveProblem(tx: Tx, session: SessionRow, node: string): v1.ICommandResult | null {
  const r = session.r;
  const details = { owner: tx.store.address(r.owner), epoch: r.epoch };
  const ownerUp = tx.store.nodes.get(r.owner)?.up ?? false;
  if (!ownerUp) return null;
  if (r.connected)
    return fail(ErrorCode.NOT_OWNER, `session ${r.id} is owned by ${r.owner}, which is up`, details);
  // The owner may be in the middle of one: it alone knows how far it came.
  if (tx.store.effects.sessionHasAny(r.id))
    return fail(ErrorCode.NOT_OWNER, `${r.owner} still has work to finish for session ${r.id}`, details);
  const target = tx.store.nodes.get(node)?.r;
  if (target?.cordoned || target?.draining)
    return fail(ErrorCode.NOT_OWNER, `node ${node} takes no sessions now`, details);
  return null;
}

function connect(tx: Tx, session: SessionRow, command: v1.IConnectSession): void {
  const r = session.r;
  if (r.connected) {
    // The owner has not noticed that the earlier connection broke.
    markDisconnected(tx, session);
  }
  closeAtDisconnect(tx, session);
  r.connected = true;
  r.connection++;
  r.deadlineMs = 0;
  r.channelSequence = (command.channelSequence ?? 0) & 0xffff;
  noteReturn(tx, session, "back");
  tx.touchSession(session);
  tx.emitSession(EventKind.sessionConnected, "", session, `session ${r.id} connected at ${r.owner}`);
}
