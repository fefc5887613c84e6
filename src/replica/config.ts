import type { v1 } from "../wire/index.js";

/** Settings of one replica. Durations in milliseconds of the monotonic clock. */
export interface ReplicaConfig {
  readonly raftId: number;
  /** Node name, for people and for error details. */
  readonly name: string;
  readonly clusterId: string;
  /** Members that a fresh cluster starts with; used for addresses until the state knows them. */
  readonly initialMembers: readonly v1.IMemberRecord[];
  /** Shares that the first leader writes into a fresh cluster. */
  readonly shares: readonly v1.IShareRecord[];
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly readMode: "read-index";
  /** Deadline of a proposal that names none. */
  readonly proposeTimeoutMs: number;
  readonly readTimeoutMs: number;
  /** Proposals that may wait at this member; beyond it the answer is OVERLOADED. */
  readonly pendingProposalsMax: number;
  readonly pendingBytesMax: number;
  /** Bytes of commands that may wait for commit at the leader. */
  readonly uncommittedBytesMax: number;
  readonly appendBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  /** A forwarded proposal without answer is sent again after this time, under the same number. */
  readonly forwardRetryMs: number;
  /** A commit index that has no append to travel with waits this long for one; zero: it goes alone at once. */
  readonly commitHoldMs: number;
  /** Entries that one follower alone waits for, and commits by two, reach the others at most so much later. */
  readonly entryHoldMs: number;
  /** Longest time that applying may hold the event loop in one go. */
  readonly applyBudgetMs: number;
  /** State records are written at most this often, unless `stateWriteEntries` were applied before. */
  readonly stateWriteIntervalMs: number;
  readonly stateWriteEntries: number;
  /** The log is cut when it holds more than this many entries or bytes beyond `compactKeepEntries`. */
  readonly compactEntries: number;
  readonly compactBytes: number;
  /** Entries kept for followers that are a little behind. */
  readonly compactKeepEntries: number;
  readonly snapshotChunkBytes: number;
  /** A leader whose oldest disk write is older than this hands its leadership over (field-notes 3.1). */
  readonly diskStallMs: number;
  /** The same for an event loop that was blocked this long, `loopStallsMax` times within `stallWindowMs`. */
  readonly loopStallMs: number;
  readonly loopStallsMax: number;
  readonly stallWindowMs: number;
  /** A learner may become a voter when it lacks at most this many entries. */
  readonly promoteLagEntries: number;
  /** While something waits for time to pass, time is written into an idle log this often. */
  readonly advanceTimeMs: number;
}

/** What everybody uses unless told otherwise; identity and members have no default. */
export const replicaDefaults: Omit<
  ReplicaConfig,
  "raftId" | "name" | "clusterId" | "initialMembers" | "shares"
> = {
  tickMs: 20,
  electionTicks: 15,
  heartbeatTicks: 3,
  readMode: "read-index",
  proposeTimeoutMs: 10_000,
  readTimeoutMs: 5_000,
  pendingProposalsMax: 16_384,
  pendingBytesMax: 64 * 1024 * 1024,
  uncommittedBytesMax: 64 * 1024 * 1024,
  appendBytesMax: 256 * 1024,
  inflightMessagesMax: 256,
  inflightBytesMax: 16 * 1024 * 1024,
  forwardRetryMs: 300,
  commitHoldMs: 2,
  entryHoldMs: 5,
  applyBudgetMs: 8,
  stateWriteIntervalMs: 20,
  stateWriteEntries: 1_000,
  compactEntries: 50_000,
  compactBytes: 64 * 1024 * 1024,
  compactKeepEntries: 5_000,
  snapshotChunkBytes: 64 * 1024,
  diskStallMs: 1_000,
  loopStallMs: 200,
  loopStallsMax: 3,
  stallWindowMs: 10_000,
  promoteLagEntries: 1_000,
  advanceTimeMs: 1_000,
};

/** What is wrong with the settings, in words for an operator; empty when they are fine. */
export function validateReplicaConfig(config: ReplicaConfig): string[] {
  const problems: string[] = [];
  for (const [name, value] of Object.entries(config)) {
    if (typeof value === "number" && (!Number.isFinite(value) || value < 0))
      problems.push(`${name} must be a number of at least 0, but is ${value}`);
  }
  if (!Number.isInteger(config.raftId) || config.raftId < 1)
    problems.push(`raftId must be a whole number of at least 1, but is ${config.raftId}`);
  if (config.tickMs <= 0) problems.push(`tickMs must be greater than 0, but is ${config.tickMs}`);
  if (config.clusterId === "") problems.push("clusterId must not be empty");
  if (config.name === "") problems.push("name must not be empty");
  return problems;
}
