import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { EventKind } from "../events.js";
import { awaitClients, beginFailover, type Moved, reownAll } from "../mechanics/ownership.js";
import { endTakeover } from "../mechanics/takeover.js";
import { NodeRow, nodeRecord } from "../tables/records.js";
import { fail, type Tx } from "../tx.js";
import { firstProblem, labelProblem, type Problem } from "../validate.js";

/**
 * A file node's process has started. A higher incarnation of a known name takes over what the earlier one had, to itself:
 * the lock on its data folder proves that the old process is gone. Sessions that found no survivor when their node died
 * are adopted by whoever registers next.
 */
export function registerNode(tx: Tx, command: v1.IRegisterNode): v1.ICommandResult {
  const given = command.node ?? {};
  const problem = nodeProblem(given);
  if (problem !== null) return problem;
  const name = given.name ?? "";
  const incarnation = given.incarnation ?? 0;
  const there = tx.store.nodes.get(name);
  if (there === undefined) return registerNew(tx, given);
  if (incarnation < there.r.incarnation)
    return fail(
      ErrorCode.PRECONDITION_FAILED,
      `node ${name} is at incarnation ${there.r.incarnation}; ${incarnation} is an earlier process`,
      { epoch: there.r.incarnation },
    );
  if (incarnation === there.r.incarnation) return registerAgain(tx, there, given);
  return registerSuccessor(tx, there, given);
}

function nodeProblem(given: v1.INodeRecord): Problem {
  if (!given.incarnation) return fail(ErrorCode.INVALID_ARGUMENT, "a node needs an incarnation above zero");
  for (const [key, value] of Object.entries(given.labels ?? {})) {
    const problem = firstProblem(labelProblem("label", key), labelProblem(`label ${key}`, value, true));
    if (problem !== null) return problem;
  }
  return firstProblem(
    labelProblem("node name", given.name),
    labelProblem("gRPC address", given.grpcAddress, true),
    labelProblem("HTTP address", given.httpAddress, true),
  );
}

function registerNew(tx: Tx, given: v1.INodeRecord): v1.ICommandResult {
  const { nodes } = tx.store;
  if (nodes.size >= limits.nodesMax)
    return fail(ErrorCode.LIMIT_EXCEEDED, `a cluster has at most ${limits.nodesMax} nodes`);
  const row = new NodeRow(nodeRecord(given));
  row.r.cordoned = false;
  row.r.draining = false;
  row.r.reason = "";
  row.r.takeoverId = 0;
  nodes.set(row.r.name, row);
  nodeUp(tx, row);
  return adopt(tx, row);
}

function registerAgain(tx: Tx, node: NodeRow, given: v1.INodeRecord): v1.ICommandResult {
  if (!node.up)
    return fail(
      ErrorCode.LEASE_LOST,
      `incarnation ${node.r.incarnation} of node ${node.r.name} was declared down`,
      { next: "start the node again: it registers with a new incarnation" },
    );
  update(node, given);
  node.r.changedRevision = tx.revision;
  tx.store.touch(node);
  return { node: { ...node.r } };
}

function registerSuccessor(tx: Tx, node: NodeRow, given: v1.INodeRecord): v1.ICommandResult {
  const wasUp = node.up;
  endTakeover(tx, node);
  update(node, given);
  node.r.incarnation = given.incarnation ?? 0;
  nodeUp(tx, node);
  const had = tx.store.sessions.ofOwner(node.r.name).size;
  const moved = reownAll(tx, node, node, `${node.r.name} started again`);
  if (had > 0 || moved.keys > 0)
    record(tx, node, moved, wasUp ? "restarted before it was declared down" : "restarted");
  return adopt(tx, node);
}

function update(node: NodeRow, given: v1.INodeRecord): void {
  const fresh = nodeRecord(given);
  node.r.grpcAddress = fresh.grpcAddress;
  node.r.httpAddress = fresh.httpAddress;
  node.r.labels = fresh.labels;
  node.r.weight = fresh.weight;
  node.r.shares = fresh.shares;
  node.r.foreign = fresh.foreign;
}

function nodeUp(tx: Tx, node: NodeRow): void {
  node.r.status = v1.NodeStatus.NODE_UP;
  node.r.changedRevision = tx.revision;
  if (!node.r.cordoned && !node.r.draining) node.r.reason = "";
  tx.store.touch(node);
  tx.emit(EventKind.nodeUp, "", `node ${node.r.name} is up, incarnation ${node.r.incarnation}`, {
    nodeRecord: { ...node.r },
  });
}

/** Takes over what dead nodes still own because nobody was left when they died. */
function adopt(tx: Tx, node: NodeRow): v1.ICommandResult {
  for (const other of [...tx.store.nodes.values()].sort((a, b) => (a.r.name < b.r.name ? -1 : 1))) {
    // What is being taken over in slices sees the new node at the next of them.
    if (other.up || other === node || other.r.takeoverId !== 0) continue;
    const sessions = node.r.foreign ? 0 : tx.store.sessions.ofOwner(other.r.name).size;
    const effects = node.r.foreign ? 0 : tx.store.effects.ofOwner(other.r.name).length;
    if (sessions + effects + tx.store.keys.ofOwner(other.r.name).size === 0) continue;
    const moved = reownAll(tx, other, null, `adopted: ${other.r.name} is down`);
    if (moved.sessions > 0 || moved.keys > 0) record(tx, other, moved, "adopted when a node came up");
  }
  return { node: { ...node.r } };
}

function record(tx: Tx, from: NodeRow, moved: Moved, cause: string): void {
  const failover = beginFailover(tx, {
    kind: "failover",
    cause,
    from: from.r.name,
    to: [...moved.to].sort(),
    sessions: moved.sessions,
    handles: moved.handles,
  });
  const sessions = [...moved.to].flatMap((name) => [...tx.store.sessions.ofOwner(name)]);
  awaitClients(
    tx,
    failover,
    sessions.filter(
      (session) => session.r.previousOwner === from.r.name && session.r.changedRevision === tx.revision,
    ),
  );
  tx.emit(EventKind.failover, "", `${moved.sessions} sessions of ${from.r.name}: ${cause}`, {
    failover: { ...failover.r },
  });
}
