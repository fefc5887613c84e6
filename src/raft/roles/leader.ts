import type { Core } from "../core.js";
import { broken } from "../invariant.js";
import { type Message, MessageKind } from "../message.js";
import { mutant } from "../mutants.js";
import { ProgressState, type Progress } from "../progress/progress.js";
import { jointVote, VoteResult } from "../quorum.js";
import type { LeaderState } from "../state.js";
import { Entry, EntryKind, NONE, type RaftId } from "../types.js";
import { EMPTY_DATA, appendOwn } from "./proposal.js";
import { confirmReads, leaderRead, releaseHeldReads } from "./read-index.js";
import { broadcastAppend, maybeCommit, sendAppend } from "./replication.js";
import { handleTransferRequest, transferCaughtUp, transferRefused } from "./transfer.js";

/** Takes over: commits through an empty entry of the own term, whatever its predecessors left behind. */
export function becomeLeader(core: Core): void {
  const lead = core.becomeLeaderState();
  const { log } = core;
  // There may be an unapplied configuration change anywhere in the tail; waiting for all of it is cheaper than looking.
  lead.pendingConfIndex = mutant.confChangeOverlap ? 0 : log.last;
  for (let i = log.committed + 1; i <= log.last; i++) lead.uncommittedBytes += log.at(i).data.length;
  appendOwn(core, lead, [new Entry(core.term, log.last + 1, EntryKind.Normal, EMPTY_DATA)]);
  core.trace(`became leader at term ${core.term}`);
  broadcastAppend(core);
}

/** Steps down when less than a quorum has been heard from since the last check. */
export function checkQuorum(core: Core): void {
  const { ids, items } = core.tracker;
  const active = new Map<RaftId, boolean>();
  for (let i = 0; i < ids.length; i++) {
    const progress = items[i] as Progress;
    if (!progress.isLearner) active.set(ids[i] as RaftId, progress.recentActive || ids[i] === core.id);
  }
  if (jointVote(core.config.incoming, core.config.outgoing, active) !== VoteResult.Won) {
    core.trace("stepped down to follower since quorum is not active");
    core.becomeFollower(core.term, NONE);
  }
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] !== core.id) (core.tracker.items[i] as Progress).recentActive = false;
  }
}

/** Messages of the present term, at the leader. */
export function stepLeader(core: Core, lead: LeaderState, message: Message): void {
  if (message.kind === MessageKind.ReadIndex) {
    leaderRead(core, lead, message.from, message.readRequest);
    return;
  }
  if (message.kind === MessageKind.TransferLeader) {
    if (message.reject) transferRefused(core, lead, message.from);
    else handleTransferRequest(core, lead, message.index);
    return;
  }
  if (message.kind === MessageKind.Append || message.kind === MessageKind.Heartbeat) {
    broken("one leader in a term", core.id, message.from);
  }
  const progress = core.tracker.get(message.from);
  if (progress === undefined) return;
  if (message.kind === MessageKind.AppendResponse) handleAppendResponse(core, lead, message, progress);
  else if (message.kind === MessageKind.HeartbeatResponse)
    handleHeartbeatResponse(core, lead, message, progress);
}

function handleAppendResponse(core: Core, lead: LeaderState, message: Message, progress: Progress): void {
  progress.recentActive = true;
  // From before the peer was removed and added again: it tells nothing about the log that it has now (lesson L13).
  if (message.session !== progress.session && message.from !== core.id && !mutant.staleSessionAck) return;
  if (message.reject) handleReject(core, message, progress);
  else handleAck(core, lead, message, progress);
}

function handleReject(core: Core, message: Message, progress: Progress): void {
  let hint = message.rejectHint;
  // The follower has `logTerm` at the hint. Where the own log has a higher term the two cannot agree, so whole terms
  // are skipped; one probe a term at most (lesson L19).
  if (message.logTerm > 0) hint = core.log.conflictHint(hint, message.logTerm);
  if (!progress.decreaseTo(message.index, hint)) return;
  if (progress.state === ProgressState.Replicate && !mutant.nextBelowMatch) progress.becomeProbe();
  sendAppend(core, message.from, progress, true);
}

function handleAck(core: Core, lead: LeaderState, message: Message, progress: Progress): void {
  const { from, index } = message;
  const fresh = progress.update(index);
  // A probing peer that has nothing new to say has still shown where the logs agree.
  if (!fresh && !(progress.match === index && progress.state === ProgressState.Probe)) return;
  switch (progress.state) {
    case ProgressState.Probe:
      progress.becomeReplicate();
      break;
    case ProgressState.Snapshot:
      // Whatever snapshot it installed, the log reaches it again.
      if (progress.match + 1 >= core.log.first) {
        progress.becomeProbe();
        progress.becomeReplicate();
      }
      break;
    case ProgressState.Replicate:
      progress.inflights.freeTo(index);
      break;
    default:
      progress.state satisfies never;
  }
  if (maybeCommit(core, lead)) {
    releaseHeldReads(core, lead);
    broadcastAppend(core);
  } else if (from !== core.id && progress.canBumpCommit(core.log.committed)) {
    sendAppend(core, from, progress, true);
  }
  if (from === core.id) return;
  while (sendAppend(core, from, progress, false)) {
    // The window has opened: fill it.
  }
  transferCaughtUp(core, lead, from, progress);
}

function handleHeartbeatResponse(core: Core, lead: LeaderState, message: Message, progress: Progress): void {
  progress.recentActive = true;
  progress.paused = false;
  // For a full window this is the empty append that may bring an answer; for a probe that is caught up it is what lets
  // it go back to replicating.
  if (progress.match < core.log.last || progress.state === ProgressState.Probe) {
    sendAppend(core, message.from, progress, true);
  }
  if (message.readPosition === 0) return;
  lead.reads.acknowledge(message.from, message.readPosition);
  confirmReads(core, lead);
}

/** The shell failed to reach a peer: optimistic appends are probably lost. */
export function reportUnreachable(core: Core, lead: LeaderState, peer: RaftId): void {
  const progress = core.tracker.get(peer);
  if (progress === undefined) return;
  if (progress.state === ProgressState.Replicate) progress.becomeProbe();
}

/** The shell's snapshot stream to a peer has ended. */
export function reportSnapshot(core: Core, peer: RaftId, ok: boolean): void {
  const progress = core.tracker.get(peer);
  if (progress === undefined || progress.state !== ProgressState.Snapshot) return;
  // A failed one must not be probed from: it never arrived.
  if (!ok) progress.pendingSnapshot = 0;
  progress.becomeProbe();
  // Delivered: the peer's acknowledgement comes. Failed: a heartbeat interval passes before the next attempt.
  progress.paused = true;
}
