import type { DropReason } from "./effects.js";
import { Lease } from "./lease.js";
import { ReadQueue } from "./reads.js";
import type { Index, RaftId, SnapshotMeta, Term } from "./types.js";
import type { Message } from "./message.js";

/**
 * Where the core reproduces etcd to the letter although our own use of it is stricter. Only the driver of etcd's test
 * files asks for it; `createRaft` and `restoreRaft` always use PRODUCTION_MODE.
 */
export interface CoreMode {
  /** etcd without asynchronous storage writes: entries are applied after, but in the same turn as, their write. */
  readonly applyUndurable: boolean;
  /** etcd lets vote requests leave before what they advertise is durable (raft.md 2.3, rule 1, says why we do not). */
  readonly voteRequestsAtOnce: boolean;
  /**
   * etcd appends an empty entry in place of a refused configuration change and leaves a TimeoutNow unanswered that it
   * cannot follow; we append nothing and say why, and tell the leader (lesson L37).
   */
  readonly etcdRefusals: boolean;
  /** Snapshot messages stay in order among the others, for printing. */
  readonly snapshotsInline: boolean;
}

/** How every member runs outside etcd's test files. */
export const PRODUCTION_MODE: CoreMode = Object.freeze({
  applyUndurable: false,
  voteRequestsAtOnce: false,
  etcdRefusals: false,
  snapshotsInline: false,
});

/** A leadership transfer under way. */
export interface Transfer {
  readonly target: RaftId;
  /** Of the leadership that it belongs to. */
  readonly term: Term;
  sentTimeoutNow: boolean;
}

/** What only a leader has. Made anew at each election, so that nothing outlives a leadership (lessons L36, L42). */
export class LeaderState {
  reads = new ReadQueue();
  lease = new Lease();
  /** Reads have arrived since the last round of heartbeats. */
  roundDue = false;
  transfer: Transfer | null = null;
  /** No configuration change may be proposed before this index is applied. */
  pendingConfIndex: Index = 0;
  /** Payload bytes above commit, those inherited from earlier terms included (lesson L17). */
  uncommittedBytes = 0;
  /** By follower, the entry that a client of it waits for. */
  awaited = new Map<RaftId, Index>();
  /** How much of the own log is durable, as any follower was told. */
  toldDurable: Index = 0;
  /** Counts memberships begun under this leadership (lesson L13). */
  sessions = 0;

  clone(): LeaderState {
    const copy = new LeaderState();
    copy.reads = this.reads.clone();
    copy.lease = this.lease.clone();
    copy.roundDue = this.roundDue;
    copy.transfer = this.transfer === null ? null : { ...this.transfer };
    copy.pendingConfIndex = this.pendingConfIndex;
    copy.uncommittedBytes = this.uncommittedBytes;
    copy.awaited = new Map(this.awaited);
    copy.toldDurable = this.toldDurable;
    copy.sessions = this.sessions;
    return copy;
  }
}

/** What the durability of one persist batch means to the core. */
export interface OutstandingBatch {
  readonly seq: number;
  /** Term when the batch was handed out: entries are confirmed only while it lasts (lesson L27). */
  readonly term: Term;
  /** End of the log then, or 0 when all of it was durable already. */
  readonly lastIndex: Index;
  readonly lastTerm: Term;
  readonly snapshot: SnapshotMeta | null;
  /** Acknowledgements and votes of this member for itself. */
  readonly self: readonly Message[];
  /** All messages that waited for the batch, in the order in which they were queued. */
  readonly queued: readonly Message[];
}

/** A read that this follower has passed on to its leader. */
export interface ForwardedRead {
  readonly request: number;
  /** Ticks until it is given up: the message or its answer may be lost. */
  ticksLeft: number;
}

/** A transfer that this member asked for as leader, until it knows how it ended. */
export interface TransferWatch {
  readonly target: RaftId;
  ticksLeft: number;
}

/** End of a transfer, as it goes into the effects. */
export interface TransferEnd {
  readonly target: RaftId;
  readonly reason: DropReason | null;
}
