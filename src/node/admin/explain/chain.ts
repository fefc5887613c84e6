import { EventKind } from "../../../state/index.js";
import { v1 } from "../../../wire/index.js";
import { num, operationText, step, stepOf } from "./text.js";
import type { ExplainWorld, Step } from "./world.js";

const SESSION_KINDS: ReadonlySet<string> = new Set([
  EventKind.sessionOpened,
  EventKind.sessionConnected,
  EventKind.sessionDisconnected,
  EventKind.sessionMoved,
  EventKind.sessionReady,
  EventKind.sessionClosed,
  EventKind.sessionExpired,
  EventKind.sessionReplaced,
  EventKind.sessionFrozen,
]);

/** Whether an event tells of the session itself, not of one of its handles or calls. */
export const isOfSession = (event: v1.IEvent, id: number): boolean =>
  num(event.sessionId) === id && SESSION_KINDS.has(event.kind ?? "");

/**
 * What happened to a session, cause before effect: the node that died in the same entry that moved it, the operation that
 * froze it. What is older than the events kept here is told from its record.
 */
export function sessionChain(world: ExplainWorld, id: number): Step[] {
  const moved = new Set<number>();
  for (const event of world.events)
    if (event.kind === EventKind.sessionMoved && num(event.sessionId) === id) moved.add(num(event.revision));
  const steps: Step[] = [];
  const owner = world.state.session(id)?.owner ?? "";
  const stranded = world.state.node(owner)?.status === v1.NodeStatus.NODE_DOWN;
  let complete = false;
  for (const event of world.events) {
    if (isOfSession(event, id)) {
      complete ||= event.kind === EventKind.sessionOpened;
      steps.push(stepOf(event, sessionText(event)));
    } else if (
      isNodeChange(event) &&
      (moved.has(num(event.revision)) || (stranded && isDown(event, owner)))
    ) {
      steps.push(stepOf(event));
    } else if (concerns(event.operation, id)) {
      const text = operationStep(event);
      if (text !== null) steps.push(stepOf(event, text));
    }
  }
  return complete ? steps : [...fromRecord(world, id, steps.length > 0), ...steps];
}

function sessionText(event: v1.IEvent): string {
  const text = event.text ?? "";
  return event.kind === EventKind.sessionMoved ? `${text} (epoch ${num(event.session?.epoch)})` : text;
}

const isNodeChange = (event: v1.IEvent): boolean =>
  event.kind === EventKind.nodeDown || event.kind === EventKind.nodeUp;

const isDown = (event: v1.IEvent, node: string): boolean =>
  event.kind === EventKind.nodeDown && event.nodeRecord?.name === node;

const concerns = (operation: v1.IOperationRecord | null | undefined, id: number): boolean =>
  operation?.items?.some((item) => num(item.sessionId) === id) ?? false;

function operationStep(event: v1.IEvent): string | null {
  if (event.kind === EventKind.operationBegun) return operationText(event.operation ?? {}, "began");
  if (event.kind === EventKind.operationEnded)
    return operationText(
      { ...event.operation, requestedBy: "", reason: "" },
      event.operation?.state ?? "ended",
    );
  return null;
}

/** The beginning, where no event of it is kept: only what the record still says. */
function fromRecord(world: ExplainWorld, id: number, more: boolean): Step[] {
  const session = world.state.session(id);
  if (session === undefined) return [];
  const steps = [
    step(
      0,
      num(session.createdMs),
      `session ${id} was opened; the events from then on are not all kept here`,
    ),
  ];
  if (more) return steps;
  const from = session.previousOwner ? `, before at ${session.previousOwner}` : "";
  const failover = [...world.state.failovers()].find(
    (record) => num(record.id) !== 0 && num(record.id) === num(session.failoverId),
  );
  if (failover !== undefined)
    steps.push(
      step(
        num(failover.revision),
        num(failover.begunMs),
        `${failover.kind} ${num(failover.id)} from ${failover.from}: ${failover.cause}`,
      ),
    );
  steps.push(
    step(
      num(session.changedRevision),
      0,
      `its latest change: owned by ${session.owner} at epoch ${num(session.epoch)}${from}`,
    ),
  );
  return steps;
}
