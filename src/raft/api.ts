import type { DropReason, DurableState, Effects, ProposeResult, Role } from "./effects.js";
import type { Message } from "./message.js";
import type { ConfChange, ConfState, Entry, Index, RaftId, SnapshotMeta, Term } from "./types.js";

/** Settings of one member. All limits are checked by `validateOptions`, at start. */
export interface RaftOptions {
  readonly id: RaftId;
  /** Ticks without a leader before an election; the actual timeout is drawn from [electionTicks, 2*electionTicks). */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Always true in production; the oracle files of etcd need them off in places. */
  readonly preVote: boolean;
  readonly checkQuorum: boolean;
  readonly appendBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  readonly uncommittedBytesMax: number;
  /** Bound of one `committed` range. */
  readonly committedBytesMax: number;
  readonly readMode: "read-index" | "lease";
  /**
   * Needed for `readMode: "lease"`. `nowMs` is a monotonic clock. `durationMs` is how long a round of heartbeats that a
   * quorum has answered keeps reads local, counted from its *send* time (lesson L41): the shortest time in which another
   * member could be elected, i.e. electionTicks in milliseconds minus drift and margin.
   */
  readonly lease?: { readonly nowMs: () => number; readonly durationMs: number };
  readonly stepDownOnRemoval: boolean;
  readonly confChangeValidation: boolean;
  /** Uniform in [0, bound), drawn by the seed in simulation: the core has no randomness of its own. */
  readonly random: (bound: number) => number;
  /** Called with a line of text for a human. Absent means that the text is never built. */
  readonly trace?: (line: string) => void;
}

/** The core's view of its own situation, for operators and tests. Allocation is allowed here only. */
export interface RaftStatus {
  readonly id: RaftId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: RaftId;
  readonly leader: RaftId;
  readonly commit: Index;
  readonly applied: Index;
  readonly lastIndex: Index;
  readonly durableIndex: Index;
  readonly firstIndex: Index;
  readonly config: ConfState;
  /** Index of the entry that introduced `config`; compare-and-swap value for `proposeConfChange`. */
  readonly confIndex: Index;
  readonly transferTarget: RaftId;
  /** Only at the leader. */
  readonly progress: readonly {
    readonly id: RaftId;
    readonly state: "probe" | "replicate" | "snapshot";
    readonly match: Index;
    readonly next: Index;
    readonly recentActive: boolean;
    readonly isLearner: boolean;
    readonly inflightMessages: number;
    readonly inflightBytes: number;
  }[];
}

/**
 * One member of one Raft group. Deterministic and synchronous: the same inputs give the same effects. The caller
 * feeds it everything that happened in one turn of its loop and then drains the effects once, so that one turn costs
 * one disk batch and one flush per peer.
 */
export interface RaftMember {
  tick(): void;
  /**
   * The caller's loop stalled: its election timer is late because it was busy, not because the leader is silent.
   * Grants the leader one more heartbeat interval (raft.md 2.5, late-timer rule).
   */
  stalled(): void;
  /** Feeds a message from a peer. Messages from non-members and stale terms are dealt with here; never throws for them. */
  step(message: Message): void;
  /** Appends one entry for each element, all or none. The answer's index is that of the first; the rest follow it. */
  propose(data: readonly Uint8Array[]): ProposeResult;
  /** `ifConfIndex`: refuse unless the configuration in force was introduced at that index. */
  proposeConfChange(change: ConfChange, ifConfIndex?: Index): ProposeResult;
  /**
   * `request` is the caller's number, given back in `reads` or `failedReads`. Never to be used again, by a later process
   * of the same member either: a leader may hold a read of this one and answer that one (lesson L40).
   */
  readIndex(request: number): void;
  /**
   * A client of `peer` waits for the entry at `index`: where both of them are a majority, the peer is told when this disk
   * has it. Only at the leader. True: they are, under the present configuration.
   */
  awaitedBy(peer: RaftId, index: Index): boolean;
  transferLeader(target: RaftId): DropReason | null;
  /** Begins an election without waiting for the own timeout; with leases not while one may rest on this member's promise. */
  campaign(): void;
  forgetLeader(): void;
  reportUnreachable(peer: RaftId): void;
  reportSnapshot(peer: RaftId, ok: boolean): void;
  /** The batch with this number and all before it are durable. */
  persisted(seq: number): void;
  /** Everything up to and with `index` is applied to the state. */
  applied(index: Index): void;
  /**
   * A committed configuration change reached the state machine; answers the configuration now in force. To be called for
   * every entry of kind ConfChange or ConfChangeV2 in a `committed` range, in order, before `applied` covers it, with
   * `decodeConfChange(entry)`; null when the state machine refuses the change.
   */
  applyConfChange(change: ConfChange | null): ConfState;
  /**
   * The log up to `index` may be forgotten: a snapshot at or above it can be had from the state on disk. Answers the index
   * up to which it is forgotten now, which may be lower: what a peer needs after the snapshot it is just receiving is kept
   * (lesson L42). Only that much may be dropped from the disk.
   */
  compact(index: Index): Index;
  /**
   * What the shell could send as a snapshot right now: the applied state. Null while none can be made. An offer below the
   * compaction boundary is not used.
   */
  offerSnapshot(meta: SnapshotMeta | null): void;
  hasEffects(): boolean;
  drain(): Effects;
  entries(from: Index, to: Index, bytesMax: number): readonly Entry[];
  status(): RaftStatus;
}

/** Makes a member from what its disk holds. Throws only for broken invariants of the durable state. */
export type RestoreRaft = (options: RaftOptions, durable: DurableState) => RaftMember;
