import type { Core } from "../core.js";
import { type Message, MessageKind } from "../message.js";
import { mutant } from "../mutants.js";
import type { LeaderState } from "../state.js";
import { EntryKind, type Index, NONE, type RaftId } from "../types.js";

/**
 * Commit by two: where two voters are a majority, a follower whose own disk has an entry of the leader's term knows that
 * it is committed as soon as the leader's disk has it too. A leader that tells a follower so (`Durable`) spares it the way
 * of its acknowledgement to the leader and of the commit index back, a third of what a command passed on by a follower
 * takes. It is the commit rule of the own term (Raft dissertation 3.6.2), applied where both facts meet first.
 *
 * A follower may so apply, and answer for, what its leader does not know to be committed. Two rules make that safe:
 * - a read at the leader shows at least what it has told anybody (`LeaderState.toldDurable`), or it would miss a write that
 *   is answered already;
 * - both decide under one simple configuration, with no change on its way through the log of the follower.
 */

/** At the leader: a client of `peer` waits for the entry at `index`. True: the two of them are a majority. */
export function awaitedBy(core: Core, peer: RaftId, index: Index): boolean {
  const { lead } = core;
  if (lead === null || !pairDecides(core, peer)) return false;
  if (index > (lead.awaited.get(peer) ?? 0)) lead.awaited.set(peer, index);
  tellDurable(core, lead);
  return true;
}

/** At the leader, when its disk has got further: tells those who wait for an entry that is durable here. */
export function tellDurable(core: Core, lead: LeaderState): void {
  if (lead.awaited.size === 0) return;
  const { log } = core;
  const durable = mutant.undurableTold ? log.last : log.durable;
  for (const [peer, index] of lead.awaited) {
    if (index > durable) continue;
    lead.awaited.delete(peer);
    // What is committed here is told with the commit index.
    if (index <= log.committed || !pairDecides(core, peer)) continue;
    const told = core.message(MessageKind.Durable, peer);
    told.index = durable;
    told.session = core.confIndex;
    core.send(told);
    if (durable > lead.toldDurable) lead.toldDurable = durable;
  }
}

/** What a read at the leader has to show: what it knows to be committed, and what others may have taken for it. */
export function readFloor(core: Core, lead: LeaderState): Index {
  const { committed } = core.log;
  return lead.toldDurable > committed && !mutant.toldNotRead ? lead.toldDurable : committed;
}

/** At the follower. */
export function handleDurable(core: Core, message: Message): void {
  core.leaderDurable = { index: message.index, confIndex: message.session };
  commitByTwo(core);
}

/** At the follower, when either disk has got further. */
export function commitByTwo(core: Core): void {
  const { log, leaderDurable } = core;
  if (leaderDurable === null || core.role !== "follower" || core.leader === NONE) return;
  const index = Math.min(leaderDurable.index, log.durable);
  if (index <= log.committed || log.snapshot !== null) return;
  // An entry of this term is of this leader, and so is all below it; an older one may still be replaced (lesson L6).
  if (log.term(index) !== core.term && !mutant.olderTermByTwo) return;
  if (leaderDurable.confIndex !== core.confIndex) return;
  if (!pairDecides(core, core.leader) || changeWithin(core, index)) return;
  log.commitTo(index);
}

/** Whether this member and `peer` are a majority by themselves. */
function pairDecides(core: Core, peer: RaftId): boolean {
  const { incoming, outgoing } = core.config;
  if (outgoing.length > 0 || incoming.length > 3) return false;
  return incoming.includes(core.id) && incoming.includes(peer);
}

function changeWithin({ log }: Core, index: Index): boolean {
  for (let i = Math.max(log.applied, log.base) + 1; i <= index; i++)
    if (log.at(i).kind !== EntryKind.Normal) return true;
  return false;
}
