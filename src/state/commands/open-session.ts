import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { EventKind } from "../events.js";
import { idOf } from "../ids.js";
import { endSession } from "../mechanics/closing.js";
import { closeAtDisconnect } from "../mechanics/disconnecting.js";
import { checkNode } from "../mechanics/fence.js";
import { markDisconnected, mayRun, noteReturn } from "../mechanics/ownership.js";
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
  const replaced = lineage(tx, command);
  const ending = command.previousEndsFirst ? endFirst(tx, command, replaced) : null;
  if (ending !== null) return ending;
  const session = create(tx, command);
  for (const previous of replaced) replace(tx, session, previous);
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

/**
 * The session that the new one replaces, behind those that its handles moved into. None unless it is another session of the
 * same client guid and principal: anybody could name any number.
 */
function lineage(tx: Tx, command: v1.IOpenSession): SessionRow[] {
  const client = idOf(command.clientGuid);
  const from = (id: number): SessionRow[] => {
    const previous = tx.store.sessions.byId.get(id);
    if (previous === undefined || previous.r.replacedBy !== 0) return [];
    if (previous.client !== client || previous.r.principal !== (command.principal ?? "")) return [];
    const derived = [...tx.store.sessions.ofClient(client)].filter(({ r }) => r.derivedFrom === id);
    return [...derived.sort((a, b) => a.r.id - b.r.id).flatMap(({ r }) => from(r.id)), previous];
  };
  return from(command.previousSessionId ?? 0);
}

/**
 * An owner that has not noticed that the client is gone may have its writes in the kernel: they would land over what the
 * client writes next, in the new session. So it is asked to end them, and nothing is replaced before it has said so or is
 * down (semantics.md D2). Null: nobody has to be waited for.
 */
function endFirst(
  tx: Tx,
  command: v1.IOpenSession,
  replaced: readonly SessionRow[],
): v1.ICommandResult | null {
  for (const previous of replaced) settleSession(tx, previous);
  const running = replaced.filter((previous) => previous.liveHandles > 0 && mayRun(tx, previous));
  for (const previous of running)
    tx.emitSession(
      EventKind.sessionEnding,
      previous.r.owner,
      previous,
      `session ${previous.r.id} is to be replaced by another of its client`,
    );
  const first = running[0];
  if (first === undefined) return null;
  const sessionId = command.previousSessionId ?? 0;
  return fail(ErrorCode.NOT_READY, `${first.r.owner} ends what runs of session ${first.r.id}`, {
    sessionId,
    retryAfterMs: 20,
  });
}

function replace(tx: Tx, session: SessionRow, previous: SessionRow): void {
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
