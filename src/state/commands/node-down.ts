import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { countMove, handEffectsOver } from "./move-session.js";
import {
  awaitClients,
  beginFailover,
  moveSession,
  reownRest,
  reownSessions,
} from "../mechanics/ownership.js";
import { noteItem } from "../mechanics/operations.js";
import { beginTakeover, nextSessions, sliceFor } from "../mechanics/takeover.js";
import type { NodeRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";

/**
 * An incarnation of a file node is dead for good. What it owned gets new owners in this entry, of very many sessions the
 * first ones; its own commands are refused from here on, those that name a session that still waits included.
 */
export function nodeDown(tx: Tx, command: v1.INodeDown): v1.ICommandResult {
  const name = command.node ?? "";
  const node = tx.store.nodes.get(name);
  if (node === undefined) return fail(ErrorCode.UNKNOWN_NODE, `no file node named "${name}" is registered`);
  if (node.r.incarnation !== command.incarnation)
    return fail(
      ErrorCode.PRECONDITION_FAILED,
      `node ${name} is at incarnation ${node.r.incarnation}, not ${command.incarnation ?? 0}`,
      { epoch: node.r.incarnation },
    );
  if (!node.up)
    return fail(ErrorCode.NO_CHANGE, `incarnation ${node.r.incarnation} of ${name} is down already`);
  node.r.status = v1.NodeStatus.NODE_DOWN;
  node.r.reason = command.cause ?? "";
  node.r.changedRevision = tx.revision;
  tx.store.touch(node);
  tx.emit(EventKind.nodeDown, "", `node ${name} is down: ${command.cause || "no cause given"}`, {
    nodeRecord: { ...node.r },
  });
  moveForced(tx, name, command);
  const first = nextSessions(tx, node, sliceFor(command.sessionsMax));
  const moved = reownSessions(tx, node, null, `${name} is down`, first);
  const failover = beginFailover(tx, {
    kind: "failover",
    cause: command.cause ?? "",
    from: name,
    sessions: moved.sessions,
    handles: moved.handles,
    detectUs: command.detectUs ?? 0,
    electUs: command.electUs ?? 0,
    fenceUs: command.fenceUs ?? 0,
    detectSlackUs: command.detectSlackUs ?? 0,
    wallTime: command.wallTime ?? "",
    reason: command.fenceConfirmed ?? "",
  });
  // Those that nobody could take are not waited for: whoever registers next adopts them.
  if (tx.store.sessions.ofOwner(name).size > moved.stranded) beginTakeover(tx, node, failover);
  else node.waiting = null;
  reownRest(tx, node, null, moved);
  failover.r.to = [...moved.to].sort();
  awaitClients(tx, failover, moved.rows);
  tx.emit(EventKind.failover, "", `${moved.sessions} sessions of ${name} have new owners`, {
    failover: { ...failover.r },
  });
  return {
    takeover: {
      sessions: moved.sessions,
      keys: moved.keys,
      failoverId: failover.r.id,
      to: [...moved.to].sort(),
    },
  };
}

/**
 * Sessions that an operator is moving away by force go to where he said, in this very entry: their owner's death is what
 * the operation has waited for. The operation's record gets the phases, since its clients have waited for them.
 */
function moveForced(tx: Tx, name: string, command: v1.INodeDown): void {
  // Only what is being moved is frozen; the others, thousands perhaps, are not sorted twice.
  const frozen = [...tx.store.sessions.ofOwner(name)].filter((session) => session.r.frozenBy !== "");
  for (const session of frozen.sort((a, b) => a.r.id - b.r.id)) {
    const target = forcedTarget(tx, session);
    if (target === null) continue;
    const operationId = session.r.frozenBy;
    const epochBefore = session.r.epoch;
    moveSession(tx, session, target.r.name, target.r.incarnation, `operation ${operationId}, by force`);
    handEffectsOver(tx, session, target);
    const epochAfter = session.r.epoch;
    noteItem(tx, operationId, session.r.id, "moved", { epochBefore, epochAfter, to: target.r.name });
    countMove(tx, operationId, session, session.liveHandles);
    const record = tx.store.failovers.get(session.r.movedBy)?.r;
    if (record === undefined) continue;
    record.cause = `operator; ${command.cause ?? ""}`;
    record.detectUs = command.detectUs ?? 0;
    record.electUs = command.electUs ?? 0;
    record.fenceUs = command.fenceUs ?? 0;
    record.detectSlackUs = command.detectSlackUs ?? 0;
  }
}

function forcedTarget(tx: Tx, session: SessionRow): NodeRow | null {
  const operation = tx.store.operations.get(session.r.frozenBy);
  if (operation?.r.state !== "running" || !operation.r.forced) return null;
  const item = operation.r.items.find(
    ({ sessionId, handleId }) => sessionId === session.r.id && !handleId?.length,
  );
  const target = tx.store.nodes.get(item?.to ?? "");
  return target?.up && !target.r.foreign && target.r.name !== session.r.owner ? target : null;
}
