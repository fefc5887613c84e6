import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { EventKind } from "../events.js";
import { idOf } from "../ids.js";
import { endSession } from "../mechanics/closing.js";
import { closeAtDisconnect } from "../mechanics/disconnecting.js";
import { checkNode } from "../mechanics/fence.js";
import { markDisconnected, noteReturn } from "../mechanics/ownership.js";
import { finishPending } from "../mechanics/parking.js";
import { sessionResult } from "../mechanics/reply.js";
import { settleSession } from "../mechanics/takeover.js";
import { sessionRecord, SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";
import { firstProblem, guidProblem, labelProblem } from "../validate.js";

/**
 * A client opens a session at a node. The same guid and resume token again get the same session: the answer of the first
 * was lost. Naming a previous session of the same client and principal replaces that one; its handles wait for the client
 * (semantics.md A5).
 */
export function openSession(tx: Tx, command: v1.IOpenSession): v1.ICommandResult {
  const problem = firstProblem(
    guidProblem("client guid", command.clientGuid),
    guidProblem("resume token", command.resumeToken),
    labelProblem("principal", command.principal, true),
    labelProblem("client name", command.clientName, true),
  );
  if (problem !== null) return problem;
  const node = command.node ?? "";
  const refused = checkNode(tx, node, command.nodeIncarnation ?? 0);
  if (refused !== null) return failed(refused);
  const client = idOf(command.clientGuid);
  const token = idOf(command.resumeToken);
  const same = tx.store.sessions
    .ofClient(client)
    .find(({ r }) => idOf(r.resumeToken) === token && r.replacedBy === 0 && r.derivedFrom === 0);
  if (same !== undefined) {
    if (same.r.principal !== (command.principal ?? "")) return denied();
    return { ...sessionResult(same), repeated: true };
  }
  const record = tx.store.nodes.get(node)?.r;
  if (record?.cordoned || record?.draining)
    return fail(
      ErrorCode.NOT_READY,
      `node ${node} is ${record.draining ? "draining" : "cordoned"} and takes no new sessions`,
      {
        next: "open the session at another node",
      },
    );
  if (record?.foreign)
    return fail(ErrorCode.INVALID_ARGUMENT, `node ${node} does not serve sessions of this cluster`);
  if (tx.store.sessions.byId.size >= limits.sessionsMax)
    return fail(
      ErrorCode.LIMIT_EXCEEDED,
      `the cluster has ${limits.sessionsMax} sessions, which is the limit`,
    );
  const session = create(tx, command);
  replacePrevious(tx, session, command.previousSessionId ?? 0);
  tx.emitSession(EventKind.sessionOpened, "", session, `session ${session.r.id} opened at ${node}`);
  return sessionResult(session);
}

function create(tx: Tx, command: v1.IOpenSession): SessionRow {
  const asked = command.timeoutMs || limits.sessionTimeoutMsDefault;
  const session = new SessionRow(
    sessionRecord({
      id: tx.store.nextSessionId(),
      clientGuid: command.clientGuid ?? null,
      principal: command.principal ?? "",
      clientName: command.clientName ?? "",
      owner: command.node ?? "",
      ownerIncarnation: command.nodeIncarnation ?? 0,
      epoch: 1,
      timeoutMs: Math.min(Math.max(asked, limits.sessionTimeoutMsMin), limits.sessionTimeoutMsMax),
      connected: true,
      connection: 1,
      createdMs: tx.nowMs,
      resumeToken: command.resumeToken ?? null,
    }),
  );
  tx.store.sessions.add(session);
  tx.touchSession(session);
  return session;
}

/** Ignored unless it is another session of the same client guid and principal: anybody could name any number. */
function replacePrevious(tx: Tx, session: SessionRow, previousId: number): void {
  const previous = tx.store.sessions.byId.get(previousId);
  if (previous === undefined || previous === session || previous.r.replacedBy !== 0) return;
  if (previous.client !== session.client || previous.r.principal !== session.r.principal) return;
  // With those that its handles moved into.
  for (const derived of [...tx.store.sessions.ofClient(session.client)].sort((a, b) => a.r.id - b.r.id))
    if (derived.r.derivedFrom === previousId) replacePrevious(tx, session, derived.r.id);
  settleSession(tx, previous);
  markDisconnected(tx, previous);
  closeAtDisconnect(tx, previous);
  for (const pending of tx.store.pending.ofSession(previous.r.id))
    finishPending(tx, pending, fail(ErrorCode.CANCELLED, `session ${previous.r.id} was replaced`));
  noteReturn(tx, previous, "back");
  previous.r.replacedBy = session.r.id;
  previous.r.frozenBy = "";
  tx.touchSession(previous);
  tx.emitSession(
    EventKind.sessionReplaced,
    previous.r.owner,
    previous,
    `session ${previous.r.id} was replaced by session ${session.r.id}`,
  );
  if (previous.liveHandles === 0 && !tx.store.effects.sessionHasAny(previous.r.id))
    endSession(tx, previous, "disconnect", "replaced by another session of its client");
}

function denied(): v1.ICommandResult {
  return fail(ErrorCode.ACCESS_DENIED, "the session belongs to another principal");
}
