import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { fail, type Tx } from "../tx.js";
import { firstProblem, labelProblem } from "../validate.js";

/** Cordons a node (no new sessions), marks it draining, or neither. */
export function scheduleNode(tx: Tx, command: v1.IScheduleNode): v1.ICommandResult {
  const node = tx.store.nodes.get(command.node ?? "");
  if (node === undefined)
    return fail(ErrorCode.UNKNOWN_NODE, `no file node named "${command.node ?? ""}" is registered`);
  const problem = firstProblem(
    labelProblem("reason", command.reason, true),
    labelProblem("requested by", command.requestedBy, true),
  );
  if (problem !== null) return problem;
  const cordoned = command.cordoned ?? false;
  const draining = command.draining ?? false;
  if (node.r.cordoned === cordoned && node.r.draining === draining)
    return fail(ErrorCode.NO_CHANGE, `node ${node.r.name} is ${stateText(cordoned, draining)} already`);
  node.r.cordoned = cordoned;
  node.r.draining = draining;
  node.r.reason = cordoned || draining ? (command.reason ?? "") : "";
  node.r.changedRevision = tx.revision;
  tx.store.touch(node);
  const by = command.requestedBy ? ` by ${command.requestedBy}` : "";
  tx.emit(EventKind.nodeCordoned, "", `node ${node.r.name} is ${stateText(cordoned, draining)}${by}`, {
    nodeRecord: { ...node.r },
  });
  return { node: { ...node.r } };
}

function stateText(cordoned: boolean, draining: boolean): string {
  if (draining) return "draining";
  return cordoned ? "cordoned" : "not cordoned";
}
