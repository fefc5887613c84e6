import { allVoters } from "../conf/config.js";
import type { Core } from "../core.js";
import { broken } from "../invariant.js";
import { Message, MessageKind } from "../message.js";
import { mutant } from "../mutants.js";
import { jointVote, VoteResult } from "../quorum.js";
import { NONE, type RaftId } from "../types.js";
import { becomeLeader } from "./leader.js";

/** Why a member campaigns. A transfer skips the pre-vote and forces the vote past stickiness (lesson L38). */
export type Campaign = "pre-election" | "election" | "transfer";

/**
 * Starts an election unless this member may not: a learner, a stranger, one that is installing a snapshot, or one that
 * has committed configuration changes still to apply. The last could win by a configuration that the others have left
 * (lesson L32). Answers whether it did.
 */
export function hup(core: Core, campaign: Campaign): boolean {
  if (core.role === "leader") {
    core.trace("ignoring campaign because already leader");
    return false;
  }
  if (!core.promotable) {
    core.trace("is unpromotable and can not campaign");
    return false;
  }
  if (core.log.hasUnappliedConfChange() && !mutant.campaignUnapplied) {
    core.trace(`cannot campaign at term ${core.term} with configuration changes to apply`);
    return false;
  }
  core.trace(`is starting a new election at term ${core.term}`);
  runCampaign(core, campaign);
  return true;
}

/**
 * Starts an election because somebody outside says so, and not the own timeout. Not where leases rest on what this member
 * has promised by hearing a leader: it would vote for itself within that time, and the leader answer reads beside it
 * (lesson L41).
 */
export function campaignUnasked(core: Core): void {
  const { readMode, electionTicks, preVote } = core.options;
  const promised = core.leader !== NONE && core.electionElapsed < electionTicks;
  const leased = readMode === "lease" && !core.mode.etcdRefusals;
  if (leased && (promised || core.graceTicks > 0)) {
    core.trace("ignoring campaign because a lease may rest on this member");
    return;
  }
  hup(core, preVote ? "pre-election" : "election");
}

function runCampaign(core: Core, campaign: Campaign): void {
  if (core.log.hasUnappliedConfChange()) {
    broken("no campaign over unapplied configuration changes", core.log.applied, core.log.committed);
  }
  const pre = campaign === "pre-election";
  if (pre) core.becomePreCandidate();
  else core.becomeCandidate();
  // Pre-votes ask about the next term without entering it.
  const term = pre ? core.term + 1 : core.term;
  const { last } = core.log;
  const lastTerm = core.log.lastTerm;
  for (const id of allVoters(core.config)) {
    if (id === core.id) {
      // The own vote counts once it is durable, so it travels through the persist batch like everybody's.
      core.send(new Message(pre ? MessageKind.PreVoteResponse : MessageKind.VoteResponse, id, id, term));
      continue;
    }
    const request = new Message(pre ? MessageKind.PreVote : MessageKind.Vote, core.id, id, term);
    request.index = last;
    request.logTerm = lastTerm;
    request.forced = campaign === "transfer";
    core.send(request);
  }
}

/**
 * Whether a vote is refused because a leader is being heard: a member that was cut off must not depose a leader that the
 * others are content with. Never against the remembered leader itself, which has lost its leadership and would be kept
 * out by its own shadow (lesson L4), and never against a transfer.
 */
export function refusedByLease(core: Core, message: Message): boolean {
  if (message.forced || mutant.preVoteIgnoresLease) return false;
  if (core.graceTicks > 0) return true;
  return (
    core.options.checkQuorum &&
    core.leader !== NONE &&
    core.leader !== message.from &&
    core.electionElapsed < core.options.electionTicks
  );
}

/** A request for a vote or pre-vote whose term is not below the own one. Learners answer too: they may be voters by now. */
export function handleVoteRequest(core: Core, message: Message): void {
  const pre = message.kind === MessageKind.PreVote;
  const response = pre ? MessageKind.PreVoteResponse : MessageKind.VoteResponse;
  const free =
    core.vote === message.from ||
    (core.vote === NONE && core.leader === NONE) ||
    (pre && message.term > core.term) ||
    mutant.voteTwice;
  if (free && (core.log.isUpToDate(message.index, message.logTerm) || mutant.voteWithoutLogCheck)) {
    // The term of the request: for a pre-vote it is ahead of the own one, and the asker ignores older terms.
    core.send(new Message(response, core.id, message.from, message.term));
    if (!pre) {
      core.electionElapsed = 0;
      core.vote = message.from;
    }
    return;
  }
  refuseVote(core, response, message.from);
}

/**
 * Refuses a vote, and says what is known to be committed. Configurations take effect when applied, so the asker may
 * count a member that has already left for a configuration without it, cannot vote for the asker's shorter log, and
 * will never campaign itself: without this hint the group would have no leader for ever (lesson L32).
 */
export function refuseVote(core: Core, kind: MessageKind, to: RaftId): void {
  const refusal = new Message(kind, core.id, to, core.term);
  refusal.reject = true;
  if (!core.mode.etcdRefusals) {
    refusal.commit = core.log.committed;
    refusal.logTerm = core.log.term(core.log.committed);
  }
  core.send(refusal);
}

/** What a refused vote says is committed is so for ever; where the own log agrees at that place, it is committed here. */
export function learnCommit(core: Core, message: Message): void {
  const { log } = core;
  if (core.lead !== null || log.snapshot !== null || message.commit <= log.committed) return;
  if (log.matches(message.commit, message.logTerm)) log.commitTo(message.commit);
}

/** Counts a vote, the first one of each member only, and acts when the election is decided. */
export function handleVoteResponse(core: Core, message: Message): void {
  if (!core.votes.has(message.from)) core.votes.set(message.from, !message.reject);
  const result = jointVote(core.config.incoming, core.config.outgoing, core.votes);
  if (result === VoteResult.Won) {
    if (core.role !== "pre-candidate") {
      becomeLeader(core);
    } else if (core.log.hasUnappliedConfChange() && !mutant.campaignUnapplied) {
      // A refused pre-vote has told that a change is committed meanwhile: apply it first, then ask again (lesson L32).
      core.becomeFollower(core.term, NONE);
    } else {
      runCampaign(core, "election");
    }
  } else if (result === VoteResult.Lost) {
    // A refused pre-vote carries a term of its own; the own term stays.
    core.becomeFollower(core.term, NONE);
  }
}
