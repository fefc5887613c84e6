import { EventKind } from "../../../state/index.js";
import { ErrorCode, HoldfastError } from "../../../wire/errors.js";
import { v1 } from "../../../wire/index.js";
import { isOfSession, sessionChain } from "./chain.js";
import { sessionState } from "./session.js";
import { counted, effectText, fileName, hex, num, reply, shortId, span, step, stepOf } from "./text.js";
import type { ExplainWorld, Step } from "./world.js";

const HANDLE_KINDS: ReadonlySet<string> = new Set([
  EventKind.handleOpened,
  EventKind.handleResumed,
  EventKind.handleClosed,
  EventKind.handleForcedClosed,
  EventKind.handleExpired,
  EventKind.handleMoved,
  EventKind.leaseBreak,
  EventKind.effectFinished,
  EventKind.pendingDone,
]);

/** Why a handle is where it is: its own steps and, since ownership is its session's, those that moved or cut that. */
export function explainHandle(world: ExplainWorld, idHex: string): v1.IExplainReply {
  const handle = world.state.handle(Buffer.from(idHex, "hex"));
  if (handle === undefined) return goneHandle(world, idHex);
  const session = world.state.session(num(handle.sessionId));
  const chain = handleChain(world, idHex, handle);
  const { text, next, steps } = stateOf(world, handle, session);
  chain.push(...steps);
  chain.sort((a, b) => a.revision - b.revision);
  const owner = session?.owner ?? "";
  const apart = session?.derivedFrom ? `, moved there alone from session ${num(session.derivedFrom)}` : "";
  const what = `Handle ${shortId(handle.id)} on ${fileName(handle.share, handle.path)}, session ${num(handle.sessionId)} of client ${session?.clientName || "without a name"}, at ${owner}${apart}`;
  return reply(chain, `${what}: ${text}`, next);
}

function goneHandle(world: ExplainWorld, idHex: string): v1.IExplainReply {
  const own = world.events.filter((event) => isOfHandle(event, idHex));
  const last = own.at(-1);
  if (last === undefined) {
    throw new HoldfastError(
      ErrorCode.UNKNOWN_HANDLE,
      `there is no handle ${idHex}, and no event of it is kept here`,
      { next: "holdfast handles --all" },
    );
  }
  const session = num(last.sessionId);
  const ended = world.events.findLast((event) => isOfSession(event, session));
  const chain = own.map((event) => stepOf(event));
  if (ended !== undefined) chain.push(stepOf(ended));
  return reply(
    chain,
    `Handle ${idHex.slice(0, 12)} is gone: ${last.text ?? ""}.`,
    `holdfast explain session ${session}`,
  );
}

const isOfHandle = (event: v1.IEvent, idHex: string): boolean =>
  HANDLE_KINDS.has(event.kind ?? "") && hex(event.handleId) === idHex;

/** Own steps, and the session's from the time on at which the handle was opened. */
function handleChain(world: ExplainWorld, idHex: string, handle: v1.IHandleRecord): Step[] {
  const own: Step[] = [];
  let told = "";
  for (const event of world.events) {
    // A move of one handle is told to both owners.
    if (!isOfHandle(event, idHex) || told === `${num(event.revision)} ${event.text}`) continue;
    told = `${num(event.revision)} ${event.text}`;
    own.push(stepOf(event));
  }
  const opened = world.events.find(
    (event) => event.kind === EventKind.handleOpened && hex(event.handleId) === idHex,
  );
  if (opened === undefined && handle.state !== v1.HandleState.HANDLE_PENDING)
    own.unshift(step(0, num(handle.openedMs), "opened; the events from then on are not all kept here"));
  const since = num(opened?.revision);
  const ofSession = sessionChain(world, num(handle.sessionId)).filter(
    (each) => each.revision > since && each.revision !== 0,
  );
  return [...own, ...ofSession].sort((a, b) => a.revision - b.revision);
}

interface HandleText {
  readonly text: string;
  readonly next: string;
  readonly steps: readonly Step[];
}

function stateOf(
  world: ExplainWorld,
  handle: v1.IHandleRecord,
  session: v1.ISessionRecord | undefined,
): HandleText {
  const list = `holdfast handles --share ${handle.share} --path ${handle.path}`;
  switch (handle.state) {
    case v1.HandleState.HANDLE_PENDING:
      return pending(world, handle, list);
    case v1.HandleState.HANDLE_CLOSING:
      return {
        text: "it is closed for everybody, and its file is about to be deleted.",
        next: `holdfast explain session ${num(handle.sessionId)}`,
        steps: effectSteps(world, handle),
      };
    case v1.HandleState.HANDLE_CLOSED:
      return {
        text: `it is closed (${handle.closeReason || "its client closed it"}); what is left is a tombstone that answers a repeated close or create. It holds no lock, no lease and no share mode.`,
        next: `nothing needs doing; who has the file now: ${list}`,
        steps: [],
      };
    default:
      return open(world, handle, session);
  }
}

function pending(world: ExplainWorld, handle: v1.IHandleRecord, list: string): HandleText {
  const call = [...world.state.pending()].find((each) => num(each.id) === num(handle.pendingId));
  if (num(handle.pendingId) === 0 || call === undefined)
    return {
      text: "its create waits for its effect on the file system.",
      next: `holdfast explain session ${num(handle.sessionId)}`,
      steps: effectSteps(world, handle),
    };
  const since = num(call.sinceRevision);
  const steps = [step(since, 0, `call ${num(call.id)} is parked: it waits for ${call.waitsFor}`)];
  const lease = breakingLease(world, handle);
  if (lease === undefined) return { text: `its open waits for ${call.waitsFor}.`, next: list, steps };
  for (const event of world.events)
    if (event.kind === EventKind.leaseBreak && hex(event.leaseBreak?.key) === hex(lease.key))
      if (num(event.revision) >= since) steps.push(stepOf(event, `its holder is told: ${event.text ?? ""}`));
  const holder = lease.handles?.[0];
  const held = holder === undefined ? undefined : world.state.handle(holder);
  const client = world.state.session(num(held?.sessionId))?.clientName || "without a name";
  const left = num(lease.breakDeadlineMs) - world.nowMs;
  const within =
    num(lease.breakDeadlineMs) === 0
      ? "as soon as it is back"
      : `within ${span(left)}, or the lease is taken from it`;
  return {
    text: `its open waits for ${call.waitsFor}. Its holder, client ${client}, has to acknowledge ${within}; then the open goes on by itself.`,
    next: holder === undefined ? list : `holdfast explain handle ${shortId(holder)}`,
    steps,
  };
}

function breakingLease(world: ExplainWorld, handle: v1.IHandleRecord): v1.ILeaseRecord | undefined {
  for (const lease of world.state.leases())
    if (lease.breaking === true && lease.share === handle.share && lease.path === handle.path) return lease;
  return undefined;
}

function effectSteps(world: ExplainWorld, handle: v1.IHandleRecord): Step[] {
  const id = num(handle.effectId);
  return [...world.state.effects()]
    .filter((effect) => num(effect.id) === id && id !== 0)
    .map((effect) =>
      step(
        num(effect.begunRevision),
        0,
        `effect ${id} was announced and its outcome is not recorded: ${effectText(effect)}, at ${effect.owner}`,
      ),
    );
}

function open(
  world: ExplainWorld,
  handle: v1.IHandleRecord,
  session: v1.ISessionRecord | undefined,
): HandleText {
  const held = counted(handle.locks?.length ?? 0, "byte-range lock");
  const kind = (v1.HandleKind[handle.kind ?? 0] ?? "plain").toLowerCase();
  const id = num(handle.sessionId);
  if (session?.frozenBy || session?.takenOver === true) {
    const { state, next } = sessionState(world, session);
    return { text: `it is open (${kind}, ${held}). About its session: ${state}`, next, steps: [] };
  }
  if (handle.connected === true)
    return {
      text: `it is open and in use (${kind}, ${held}).`,
      next: `nothing needs doing; to move it: holdfast transfer --handle ${shortId(handle.id)} --dry-run`,
      steps: [],
    };
  const left = num(handle.deadlineMs) - world.nowMs;
  return {
    text: `it is open, but its client has not resumed it (${kind}, ${held}); it has ${span(left)} left for that. Until then conflicting opens of the file are refused or wait.`,
    next: `holdfast explain session ${id}`,
    steps: [],
  };
}
