import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { awaitClients, beginFailover, reownAll } from "../mechanics/ownership.js";
import { fail, type Tx } from "../tx.js";

/**
 * An incarnation of a file node is dead for good. Everything that it owned gets a new owner in this one entry; its own
 * commands are refused from here on.
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
  const sessions = [...tx.store.sessions.ofOwner(name)];
  const moved = reownAll(tx, node, null, `${name} is down`);
  const failover = beginFailover(tx, {
    kind: "failover",
    cause: command.cause ?? "",
    from: name,
    to: [...moved.to].sort(),
    sessions: moved.sessions,
    handles: moved.handles,
    detectMs: command.detectMs ?? 0,
    electMs: command.electMs ?? 0,
    fenceMs: command.fenceMs ?? 0,
    wallTime: command.wallTime ?? "",
    reason: command.fenceConfirmed ?? "",
  });
  awaitClients(
    tx,
    failover,
    sessions.filter((session) => session.r.owner !== name),
  );
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
