import { EventKind } from "../../../state/index.js";
import { ErrorCode, HoldfastError } from "../../../wire/errors.js";
import { v1 } from "../../../wire/index.js";
import { counted, num, openEffects, operationText, reply, span, step, stepOf } from "./text.js";
import type { ExplainWorld, Step } from "./world.js";

/** Why a file node has what it has and gets what it gets. */
export function explainNode(world: ExplainWorld, name: string): v1.IExplainReply {
  const node = world.state.node(name);
  if (node === undefined) {
    const left = world.events.filter((event) => isOf(event, name));
    if (left.length === 0)
      throw new HoldfastError(ErrorCode.UNKNOWN_NODE, `there is no node ${name}`, {
        next: "holdfast nodes",
      });
    return reply(
      left.map((event) => stepOf(event)),
      `Node ${name} was removed from the cluster.`,
      "holdfast nodes",
    );
  }
  const { text, next } = stateOf(world, node);
  return reply(nodeChain(world, node), `Node ${name}, incarnation ${num(node.incarnation)}: ${text}`, next);
}

/** Events about a node name it in their text, and in their record where they carry one. */
function isOf(event: v1.IEvent, name: string): boolean {
  if (event.kind === EventKind.nodeLeft) return event.text?.split(" ")[1] === name;
  return event.nodeRecord?.name === name;
}

function nodeChain(world: ExplainWorld, node: v1.INodeRecord): Step[] {
  const name = node.name ?? "";
  const steps: Step[] = [];
  for (const event of world.events) {
    if (isOf(event, name)) steps.push(stepOf(event, withReason(event)));
    else if (event.kind === EventKind.failover && event.failover?.from === name && isNew(event))
      steps.push(stepOf(event, failoverText(event.failover)));
    else if (isDrainOf(event, name))
      steps.push(
        stepOf(
          event,
          event.kind === EventKind.operationBegun
            ? operationText(event.operation ?? {}, "began")
            : operationText(
                { ...event.operation, requestedBy: "", reason: "" },
                event.operation?.state ?? "",
              ),
        ),
      );
  }
  if (steps.length > 0) return steps;
  const records = [...world.state.failovers()].filter((each) => each.from === name);
  return [
    step(0, 0, `node ${name} registered; the events from then on are not kept here`),
    ...records.map((each) => step(num(each.revision), num(each.begunMs), failoverText(each))),
  ];
}

/** A takeover's first event; a later one with the same record only adds what was measured. */
const isNew = (event: v1.IEvent): boolean => num(event.failover?.revision) === num(event.revision);

const isDrainOf = (event: v1.IEvent, name: string): boolean =>
  (event.kind === EventKind.operationBegun || event.kind === EventKind.operationEnded) &&
  event.operation?.kind === "drain" &&
  (event.operation.items?.some((item) => item.from === name) ?? false);

function withReason(event: v1.IEvent): string {
  const reason = event.kind === EventKind.nodeCordoned ? event.nodeRecord?.reason : "";
  return `${event.text ?? ""}${reason ? ` (${reason})` : ""}`;
}

function failoverText(record: v1.IFailoverRecord): string {
  const to = record.to?.length ? record.to.join(", ") : "nobody";
  return `${record.kind} ${num(record.id)}: ${counted(num(record.sessions), "session")} with ${counted(num(record.handles), "handle")} to ${to}`;
}

function stateOf(world: ExplainWorld, node: v1.INodeRecord): { text: string; next: string } {
  const name = node.name ?? "";
  const own = [...world.state.sessionsOf(name)];
  const has = counted(own.length, "session");
  const why = node.reason ? ` (${node.reason})` : "";
  if (node.status !== v1.NodeStatus.NODE_UP) {
    const failover = [...world.state.failovers()].findLast((each) => each.from === name);
    const gone =
      failover === undefined
        ? ""
        : failover.to?.length
          ? ` What it owned went to ${failover.to.join(", ")}, after ${span((num(failover.detectUs) + num(failover.electUs) + num(failover.fenceUs)) / 1_000)} to be sure of its death.`
          : own.length > 0
            ? " No other node was up to take what it owned."
            : "";
    return {
      text: `down${why}; this incarnation will never serve again.${gone}`,
      next:
        own.length > 0
          ? `start any node (holdfast node --config FILE): ${has} waiting for one`
          : `holdfast node --config FILE on its host; it comes back as another incarnation`,
    };
  }
  if (node.draining === true)
    return {
      text: `up and draining${why}: it gets no new sessions and has ${own.length === 0 ? "none" : counted(own.length, "session")} left to move away.`,
      next:
        own.length === 0
          ? `it may be stopped; to use it again: holdfast uncordon ${name}`
          : `holdfast ops list; to go on with it: holdfast drain ${name}`,
    };
  if (node.cordoned === true)
    return {
      text: `up and cordoned${why}: it keeps its ${has} and gets no new ones.`,
      next: `holdfast uncordon ${name}, or holdfast drain ${name} --dry-run`,
    };
  const busy = own.filter((session) => session.takenOver === true);
  if (busy.length > 0) {
    const effects = busy.reduce((sum, each) => sum + openEffects(world, num(each.id)).length, 0);
    return {
      text: `up, with ${has}; ${counted(busy.length, "inherited session")} not ready yet, ${counted(effects, "effect")} to resolve.`,
      next: `holdfast explain session ${num(busy[0]?.id)}`,
    };
  }
  return {
    text: `up, with ${has}; it gets its share of new ones.`,
    next: "nothing needs doing; holdfast nodes compares it with the others",
  };
}
