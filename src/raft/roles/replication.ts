import type { Core } from "../core.js";
import { MessageKind } from "../message.js";
import { mutant } from "../mutants.js";
import type { Progress } from "../progress/progress.js";
import { ProgressState } from "../progress/progress.js";
import { payloadBytes } from "../log/size.js";
import { jointIndex } from "../quorum.js";
import { type Entry, type Index, type RaftId } from "../types.js";
import { NO_ENTRIES } from "../message.js";
import type { LeaderState } from "../state.js";

/**
 * Sends the next append to a peer, or a snapshot when the log no longer reaches back far enough. Answers whether
 * something left. `evenEmpty` allows an append without entries, which carries the commit index or probes.
 */
export function sendAppend(core: Core, to: RaftId, progress: Progress, evenEmpty: boolean): boolean {
  if (progress.isPaused) return false;
  const { log } = core;
  const previous = progress.next - 1;
  const previousTerm = log.term(previous);
  if (previousTerm === -1) return sendSnapshot(core, to, progress);
  let entries: readonly Entry[] = NO_ENTRIES;
  // With a full window only empty appends go out, paced by heartbeats: if all that filled it was lost, they are what
  // brings an answer; entries would pile up without bound (lesson L15).
  if (progress.state !== ProgressState.Replicate || !progress.inflights.full) {
    if (progress.next <= log.last) entries = log.slice(progress.next, log.last, core.options.appendBytesMax);
  } else if (mutant.fullWindowSilence) {
    return false;
  }
  const count = entries.length;
  if (count === 0 && !evenEmpty) return false;
  const append = core.message(MessageKind.Append, to);
  append.index = previous;
  append.logTerm = previousTerm;
  append.entries = entries;
  append.commit = log.committed;
  append.session = progress.session;
  core.send(append);
  progress.sentEntries(count, count === 0 ? 0 : payloadBytes(entries));
  progress.sentCommit = log.committed;
  return true;
}

/** Only to a peer that has been heard from lately: nobody else could take it. */
function sendSnapshot(core: Core, to: RaftId, progress: Progress): boolean {
  if (!progress.recentActive) return false;
  const offer = core.log.snapshot ?? core.snapshotOffer;
  // A snapshot below the compaction boundary would leave a gap.
  if (offer === null || offer.index < core.log.base) return false;
  core.trace(`sent snapshot[index: ${offer.index}, term: ${offer.term}] to ${to}`);
  progress.becomeSnapshot(offer.index);
  const message = core.message(MessageKind.Snapshot, to);
  message.snapshot = offer;
  message.session = progress.session;
  core.send(message);
  return true;
}

/** Appends to all peers, ascending, commit index included. */
export function broadcastAppend(core: Core): void {
  const { ids, items } = core.tracker;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as RaftId;
    if (id !== core.id) sendAppend(core, id, items[i] as Progress, true);
  }
}

/** A round of heartbeats, with the position of the reads that wait for it. */
export function broadcastHeartbeat(core: Core, lead: LeaderState): void {
  lead.roundDue = false;
  let position = lead.reads.heartbeatPosition;
  const { lease } = core.options;
  if (core.options.readMode === "lease" && lease !== undefined) {
    // Every round counts for the lease, so every round needs a position of its own.
    position = lead.reads.nextPosition();
    lead.lease.sent(position, lease.nowMs());
    lead.reads.acknowledge(core.id, position);
  }
  const { ids, items } = core.tracker;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as RaftId;
    if (id === core.id) continue;
    const progress = items[i] as Progress;
    const heartbeat = core.message(MessageKind.Heartbeat, id);
    // Never beyond what the peer is known to hold: its log may differ from there on.
    const { committed } = core.log;
    heartbeat.commit =
      mutant.heartbeatCommitUnclamped || progress.match > committed ? committed : progress.match;
    heartbeat.readPosition = position;
    core.send(heartbeat);
    progress.sentCommit = heartbeat.commit;
  }
}

/**
 * Moves commit to what a quorum has on its disks, if that entry is of the own term: older entries can still be replaced
 * although a quorum holds them, and follow indirectly (lesson L6). The own disk counts like any other (lesson L20).
 */
export function maybeCommit(core: Core, lead: LeaderState): boolean {
  const { log } = core;
  const index: Index = jointIndex(incomingFor(core), core.config.outgoing, core.tracker);
  const before = log.committed;
  if (index <= before || index === Number.POSITIVE_INFINITY) return false;
  if (log.term(index) !== core.term && !mutant.commitPriorTerm) return false;
  log.commitTo(index);
  for (let i = before + 1; i <= index; i++) lead.uncommittedBytes -= log.at(i).data.length;
  return true;
}

function incomingFor(core: Core): readonly RaftId[] {
  if (!mutant.learnersVoteInQuorum) return core.config.incoming;
  return [...core.config.incoming, ...core.config.learners];
}

/** Whether an entry of the own term is committed: until then commit may lag behind what a predecessor told clients. */
export function committedInTerm(core: Core): boolean {
  return core.log.term(core.log.committed) === core.term;
}
