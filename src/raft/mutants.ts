import { makeMutants, type MutantList } from "../mutants/switches.js";

/**
 * Planted bugs, one switch each: the verification of the verification. All are off, and production code has no way to
 * turn them on (this file is not exported from the package entry). A runner of tests turns one on, and the simulator or
 * the oracle has to notice. A switch that is off costs one load of a boolean.
 */
const DESCRIPTIONS = {
  commitPriorTerm: ["L6", "leader commits entries of earlier terms by counting replicas"],
  quorumOffByOne: ["L7", "commit index taken one position too high in the sorted acknowledgements"],
  jointCommitOneHalf: ["L34", "in a joint configuration only the incoming half decides on commit"],
  jointVoteOneHalf: ["L34", "in a joint configuration only the incoming half decides on elections"],
  learnersVoteInQuorum: ["L34", "learners are counted as voters of the incoming half"],
  nextBelowMatch: ["L12", "a rejection may move next to or below match"],
  truncateAtPrev: ["L9", "follower drops everything after the previous index of any append"],
  truncateCommitted: [
    "L11",
    "an append from below the compaction boundary is a conflict: the log is dropped for it",
  ],
  ackOwnLast: ["L10", "follower acknowledges its own last index rather than what the append covered"],
  commitUnverifiedTail: ["L10", "follower moves commit over entries that the append did not cover"],
  ackBeforeDurable: ["L21", "append responses leave before the entries are durable"],
  voteBeforeDurable: ["L5", "vote responses leave before the vote is durable"],
  voteRequestBeforeDurable: ["L18", "vote requests leave before the entries they advertise are durable"],
  selfCountBeforeDurable: ["L20", "leader counts itself as soon as it has appended"],
  applyBeforeDurable: ["L20", "committed entries are handed out before the own disk has them"],
  completionsUncounted: ["L27", "the completion of one write confirms all writes handed out so far"],
  voteTwice: ["L5", "a second candidate of the same term gets the vote too"],
  voteForgottenAtRestart: ["L5", "restart keeps the term and forgets the vote"],
  voteWithoutLogCheck: ["L6", "vote for a candidate whose log is behind"],
  preVoteIgnoresLease: ["L4", "votes are granted while a leader is being heard"],
  preCandidateKeepsLeader: ["L2", "a pre-candidate still names its old leader"],
  lowerTermSilence: ["L1", "messages of a leader or pre-candidate with a lower term are not answered"],
  staleTermAccepted: ["L6", "appends of a deposed leader are accepted"],
  readWithoutOwnTerm: ["L39", "reads are confirmed before an entry of the own term is committed"],
  readWithoutQuorum: ["L39", "leader answers a read without hearing from a quorum"],
  readPositionReused: ["L40", "every round of reads has the same position"],
  readsSurviveStepDown: ["L39", "a deposed leader forgets its pending reads instead of failing them"],
  leaseDuringTransfer: ["L38", "leader serves lease reads while it hands over"],
  leaseFromAck: ["L41", "lease runs from the arrival of the acknowledgements"],
  transferFlagKept: ["L36", "the transfer outlives the leadership"],
  transferNoDeadline: ["L37", "a transfer never gives up"],
  confChangeOverlap: ["L29", "a second configuration change is accepted while one is unapplied"],
  campaignUnapplied: ["L32", "a member campaigns over configuration changes it has not applied"],
  jointSkipped: ["L31", "a joint change takes effect without its joint phase"],
  autoLeaveLost: ["L30", "only the leader that entered the joint configuration leaves it"],
  staleSessionAck: ["L13", "acknowledgements from an earlier membership of a peer count"],
  heartbeatCommitUnclamped: ["L21", "heartbeats carry the leader's commit, beyond what the follower has"],
  staleSnapshotInstalled: ["L26", "a snapshot at or below commit replaces the log"],
  snapshotNotWaited: [
    "L26",
    "entries are handed out for application before the snapshot below them is installed",
  ],
  logTailUnpinned: ["L42", "compaction ignores snapshots in flight"],
  windowLeak: ["L16", "acknowledged messages stay in the append window"],
  windowInMessagesOnly: ["L14", "the append window is not bounded in bytes"],
  fullWindowSilence: ["L15", "nothing is sent to a peer whose append window is full"],
  undurableTold: ["L20", "a leader tells a follower that an entry is durable which its disk does not have"],
  olderTermByTwo: ["L6", "a follower commits an entry of an earlier term because two disks have it"],
  toldNotRead: ["L39", "a read at the leader ignores what a follower may have committed before it"],
  uncommittedUnbounded: ["L17", "a leader without a quorum appends without bound"],
} as const satisfies MutantList;

/** Name of a planted bug. */
export type MutantName = keyof typeof DESCRIPTIONS;

const MADE = makeMutants(DESCRIPTIONS);

/** All planted bugs of the core. */
export const MUTANTS = MADE.list;

/** The switches, read at the dangerous places. */
export const mutant: Record<MutantName, boolean> = MADE.switches;

/** Test hook: plants or removes one bug, in this process, for every member. */
export const setMutant = MADE.plant;

/** Test hook: removes all planted bugs. */
export const clearMutants = MADE.clear;
