import type { Index, RaftStatus, RaftId } from "../raft/index.js";
import type { StateView } from "../state/index.js";
import type { v1 } from "../wire/index.js";

/** How long and under which conditions a proposal may wait. */
export interface ProposeOptions {
  /** Monotonic deadline in ms of the runtime's clock; at it the answer is DEADLINE_EXCEEDED or OUTCOME_UNKNOWN. */
  readonly deadlineMs?: number;
}

/**
 * The replicated log as the rest of the code sees it: propose, read, watch. Nothing above knows that it is Raft.
 *
 * Exactly once for the lifetime of this process: a proposal that was forwarded and lost is proposed again by itself as
 * soon as it is certain that its first copy can never be applied (an entry of a later term is). Across processes the
 * commands' own request ids do that work.
 */
export interface Replica {
  /**
   * Resolves with what the command did, once a quorum has it on disk and it is applied here. Never rejects: operating
   * errors (NO_QUORUM, DEADLINE_EXCEEDED, OUTCOME_UNKNOWN, STOPPING, OVERLOADED) are results with `error` set.
   */
  propose(command: v1.ICommand, options?: ProposeOptions): Promise<v1.ICommandResult>;
  /** The same with the command already encoded, and a callback: the hot path of streams and unary calls. */
  proposeEncoded(command: Uint8Array, deadlineMs: number, done: (result: v1.ICommandResult) => void): void;
  /** Resolves with a revision: the local state is at least as new as any write that was answered before the call. */
  readBarrier(deadlineMs?: number): Promise<Index>;
  /** The local state. Linearizable only after a `readBarrier`. Never mutated from outside. */
  readonly state: StateView;
  /** Index of the last applied entry. */
  readonly appliedIndex: Index;
  /** Present cluster time in ms at the leader; elsewhere the last stamp that was applied. */
  clusterTimeMs(): number;
  /** Events after application, in order. The returned function ends it. */
  onEvents(listener: (events: readonly v1.IEvent[], revision: Index) => void): () => void;
  /** After a snapshot was installed, events were skipped: everything derived from them must be loaded anew. */
  onResync(listener: (revision: Index) => void): () => void;
  onRoleChange(listener: (status: LeaderInfo) => void): () => void;
  leader(): LeaderInfo;
  status(): ReplicaStatus;
  transferLeadership(to: RaftId): Promise<v1.IErrorDetail | null>;
  /** One membership change; `ifConfIndex` refuses when the configuration has moved on. */
  changeMembers(change: MemberChange): Promise<v1.IErrorDetail | null>;
  /** Sends a frame of the layers above to a peer (lease revocations). */
  sendToPeer(to: RaftId, frame: v1.IPeerFrame): void;
  onPeerFrame(listener: (from: RaftId, frame: v1.IPeerFrame) => void): () => void;
  /** A peer's link broke: a hint that it died. */
  onPeerDisconnected(listener: (peer: RaftId) => void): () => void;
  /** Hands leadership over if there is any, flushes, closes. */
  stop(): Promise<void>;
}

/** Who leads, as far as this member knows. */
export interface LeaderInfo {
  readonly isLeader: boolean;
  readonly term: number;
  /** Zero when unknown. */
  readonly leaderId: RaftId;
  /** True at a leader that has committed an entry of its own term. */
  readonly ready: boolean;
}

/** A change of one member. */
export interface MemberChange {
  readonly action: "add-learner" | "promote" | "remove" | "demote";
  readonly member: v1.IMemberRecord;
  readonly ifConfIndex?: Index;
}

/** For operators and health checks. */
export interface ReplicaStatus {
  readonly raft: RaftStatus;
  readonly fsyncP99Ms: number;
  readonly lastElectionCause: string;
  readonly snapshotIndex: Index;
  readonly pendingProposals: number;
  readonly errors: readonly string[];
}
