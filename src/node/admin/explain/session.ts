import { ErrorCode, HoldfastError } from "../../../wire/errors.js";
import { v1 } from "../../../wire/index.js";
import { isOfSession, sessionChain } from "./chain.js";
import { counted, effectText, num, openEffects, reply, span, step } from "./text.js";
import type { ExplainWorld } from "./world.js";

/** Why a session is at its owner, in the state it is in. Of one that is gone, how it went, as far as that is kept. */
export function explainSession(world: ExplainWorld, id: number): v1.IExplainReply {
  const session = world.state.session(id);
  const chain = sessionChain(world, id);
  if (session === undefined) return goneSession(world, id);
  for (const effect of openEffects(world, id)) {
    chain.push(
      step(
        num(effect.begunRevision),
        0,
        `effect ${num(effect.id)} was announced and its outcome is not recorded: ${effectText(effect)}, at ${effect.owner}`,
      ),
    );
  }
  chain.sort((a, b) => a.revision - b.revision);
  const { state, next } = sessionState(world, session);
  const where = `Session ${id} of client ${session.clientName || "without a name"} is owned by ${session.owner} at epoch ${num(session.epoch)}`;
  return reply(chain, `${where}${came(session)}, with ${handleCount(world, id)}. ${state}`, next);
}

function goneSession(world: ExplainWorld, id: number): v1.IExplainReply {
  const last = world.events.findLast((event) => isOfSession(event, id));
  if (last === undefined) {
    throw new HoldfastError(
      ErrorCode.UNKNOWN_SESSION,
      `there is no session ${id}, and no event of it is kept here`,
      { next: "holdfast sessions" },
    );
  }
  return reply(
    sessionChain(world, id),
    `Session ${id} is gone since revision ${num(last.revision)}: ${last.text ?? ""}. Its handles went with it; its client has to connect anew.`,
    "holdfast sessions",
  );
}

const came = (session: v1.ISessionRecord): string =>
  session.previousOwner && session.previousOwner !== session.owner
    ? `, where it came from ${session.previousOwner}`
    : "";

function handleCount(world: ExplainWorld, id: number): string {
  let live = 0;
  for (const handle of world.state.handlesOfSession(id))
    if (handle.state !== v1.HandleState.HANDLE_CLOSED) live += 1;
  return counted(live, "handle");
}

/** What a session is doing, in a sentence, and what an operator may safely do about it. The most pressing first. */
export function sessionState(
  world: ExplainWorld,
  session: v1.ISessionRecord,
): { readonly state: string; readonly next: string } {
  const id = num(session.id);
  const owner = session.owner ?? "";
  const left = num(session.deadlineMs) - world.nowMs;
  if (session.frozenBy)
    return {
      state: `It is frozen by operation ${session.frozenBy}, which is moving it: calls wait.`,
      next: `holdfast ops wait ${session.frozenBy}`,
    };
  if (num(session.replacedBy) !== 0)
    return {
      state: `Session ${num(session.replacedBy)} of the same client replaced it; its handles wait ${span(left)} more to be resumed from there.`,
      next: `holdfast explain session ${num(session.replacedBy)}`,
    };
  const node = world.state.node(owner);
  if (node?.status !== v1.NodeStatus.NODE_UP)
    return {
      state: `Its owner is down and no other node could take it: whichever node starts next does.`,
      next: `start a node (holdfast node --config FILE), then holdfast nodes`,
    };
  if (session.takenOver === true) {
    const effects = openEffects(world, id).length;
    const why = effects > 0 ? `resolves ${counted(effects, "inherited effect")}` : "fences what it inherited";
    return {
      state: `${owner} first ${why}; until then calls that change something are answered NOT_READY.`,
      next: `holdfast explain node ${owner}`,
    };
  }
  if (session.connected !== true)
    return {
      state:
        left > 0
          ? `Its client is away and has ${span(left)} left to come back; until then its persistent handles are kept for it.`
          : "Its client did not come back in time; the leader is about to expire it.",
      next: `holdfast handles --session ${id}`,
    };
  return {
    state: "Its client is connected.",
    next: `nothing needs doing; to move it: holdfast transfer --session ${id} --dry-run`,
  };
}
