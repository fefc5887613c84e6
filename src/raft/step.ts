import type { Core } from "./core.js";
import { Message, MessageKind } from "./message.js";
import { mutant } from "./mutants.js";
import { stepCandidate } from "./roles/candidate.js";
import { handleVoteRequest, learnCommit, refusedByLease, refuseVote } from "./roles/election.js";
import { stepFollower } from "./roles/follower.js";
import { stepLeader } from "./roles/leader.js";
import { proposeForwarded } from "./roles/proposal.js";
import { NONE } from "./types.js";

/** Why a message did not reach the core, in the words of etcd's test files. */
export const PEER_NOT_FOUND = "raft: cannot step as peer not found";
/** The same for a proposal that nobody can take now. */
export const PROPOSAL_DROPPED = "raft proposal dropped";

function isResponse(kind: MessageKind): boolean {
  switch (kind) {
    case MessageKind.AppendResponse:
    case MessageKind.VoteResponse:
    case MessageKind.PreVoteResponse:
    case MessageKind.HeartbeatResponse:
    case MessageKind.ReadIndexResponse:
      return true;
    default:
      return false;
  }
}

/** A message from a peer. Answers why it was not taken, or null. */
export function stepFromPeer(core: Core, message: Message): string | null {
  if (isResponse(message.kind) && core.tracker.get(message.from) === undefined) return PEER_NOT_FOUND;
  return step(core, message);
}

/** A message from a peer or, through the persist batch, from this member itself. */
export function step(core: Core, message: Message): string | null {
  if (message.reject && message.commit > 0) learnCommit(core, message);
  if (message.term > core.term) {
    if (!meetHigherTerm(core, message)) return null;
  } else if (message.term < core.term && message.term !== 0 && !staleButTaken(message)) {
    answerLowerTerm(core, message);
    return null;
  }
  switch (message.kind) {
    case MessageKind.Vote:
    case MessageKind.PreVote:
      handleVoteRequest(core, message);
      return null;
    case MessageKind.Propose:
      return stepProposal(core, message);
    case MessageKind.ForgetLeader:
      return null;
    default:
      break;
  }
  if (core.lead !== null) stepLeader(core, core.lead, message);
  else if (core.role === "follower") stepFollower(core, message);
  else stepCandidate(core, message);
  return null;
}

/** False when the message ends here: a vote refused because a leader is being heard. */
function meetHigherTerm(core: Core, message: Message): boolean {
  const { kind } = message;
  if ((kind === MessageKind.Vote || kind === MessageKind.PreVote) && refusedByLease(core, message)) {
    core.trace(`ignored a vote request from ${message.from} at term ${core.term}: lease is not expired`);
    return false;
  }
  // Pre-votes ask about a term that nobody has entered; a granted one answers with that same term.
  if (kind === MessageKind.PreVote) return true;
  if (kind === MessageKind.PreVoteResponse && !message.reject) return true;
  core.trace(
    `[term: ${core.term}] received a message with higher term from ${message.from} [term: ${message.term}]`,
  );
  const fromLeader =
    kind === MessageKind.Append || kind === MessageKind.Heartbeat || kind === MessageKind.Snapshot;
  core.becomeFollower(message.term, fromLeader ? message.from : NONE);
  return true;
}

/**
 * A leader, candidate or pre-candidate with a lower term is told the own one. Otherwise a member that came back with a higher term
 * and a member that leads with a lower one could ignore each other for ever (lessons L1, L3).
 */
function answerLowerTerm(core: Core, message: Message): void {
  if (mutant.lowerTermSilence) return;
  const { kind } = message;
  const { checkQuorum, preVote } = core.options;
  // etcd answers only with one of them on; but then a member without both never comes back to a group that has them.
  const answers = checkQuorum || preVote || !core.mode.etcdRefusals;
  if ((kind === MessageKind.Heartbeat || kind === MessageKind.Append) && answers) {
    core.send(core.message(MessageKind.AppendResponse, message.from));
  } else if (kind === MessageKind.PreVote) {
    refuseVote(core, MessageKind.PreVoteResponse, message.from);
  } else if (kind === MessageKind.Vote && !core.mode.etcdRefusals) {
    // Without pre-votes the only candidate who can win may be terms behind one who cannot: never told, it never catches up.
    refuseVote(core, MessageKind.VoteResponse, message.from);
  }
}

/** For a mutant: appends of deposed leaders are taken at face value. */
function staleButTaken(message: Message): boolean {
  return mutant.staleTermAccepted && message.kind === MessageKind.Append;
}

/** A proposal that a follower passed on. */
function stepProposal(core: Core, message: Message): string | null {
  if (core.lead !== null) return proposeForwarded(core, message.entries).ok ? null : PROPOSAL_DROPPED;
  if (core.role !== "follower" || core.leader === NONE) return PROPOSAL_DROPPED;
  const forward = new Message(MessageKind.Propose, message.from, core.leader, 0);
  forward.entries = message.entries;
  core.send(forward);
  return null;
}
