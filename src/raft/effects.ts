import type { Message } from "./message.js";
import type { ConfState, Entry, HardState, Index, RaftId, SnapshotMeta, Term } from "./types.js";

/**
 * One batch for the disk. To be written in this order, atomically: hard state, snapshot, truncation from `entries[0]`
 * on, entries. When it is durable, tell the core with `persisted(seq)` and then send `after`: those messages promise
 * what the batch holds, and must never leave earlier (lessons L18, L20, L21). Batches become durable in order of `seq`.
 */
export interface PersistBatch {
  /** Strictly increasing by one. Writes are acknowledged by it, never by (index, term) (lesson L27). */
  readonly seq: number;
  readonly hardState: HardState | null;
  /** Entries to append; whatever the log holds from the first one's index on is replaced. */
  readonly entries: readonly Entry[];
  /**
   * A snapshot that was received and accepted: the shell installs its data before the batch counts as durable. What was
   * handed out in `committed` up to its index and is not applied yet must be dropped at once: the core is already in the
   * snapshot's configuration.
   */
  readonly snapshot: SnapshotMeta | null;
  /**
   * False when nothing in this batch needs an fsync: only the commit hint moved, or there is nothing to write and `after`
   * waits for earlier batches alone. Such a batch is durable as soon as all earlier ones are: `persisted(seq)` and `after`
   * follow then, in order, without a sync of their own.
   */
  readonly mustSync: boolean;
  /**
   * May leave only after this batch and all earlier ones are durable. Messages to the own id are never in it. One of an
   * earlier term may acknowledge what a later leader has replaced since, perhaps in the same turn: it comes as late as
   * one that the network kept, and what it covers can no longer be committed.
   */
  readonly after: readonly Message[];
}

/** A read that may be answered as soon as the state has applied `index`. */
export interface ReadReady {
  readonly request: number;
  readonly index: Index;
}

/** Why a proposal, a read or a transfer was refused or lost. */
export type DropReason =
  | "not-leader"
  | "no-leader"
  | "transfer-in-progress"
  | "uncommitted-limit"
  | "conf-change-pending"
  | "not-in-configuration"
  | "leadership-lost"
  | "target-not-voter"
  | "target-unreachable"
  | "target-is-leader"
  | "deadline"
  | "superseded"
  | "target-refused";

/** What changed in the role of this member since the last batch. */
export interface RoleChange {
  readonly role: Role;
  readonly term: Term;
  /** Zero when unknown. */
  readonly leader: RaftId;
}

/** What a member is in its present term. */
export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/** Everything that the world has to do after one turn, in the order in which it must be looked at. */
export interface Effects {
  role: RoleChange | null;
  /** May leave now. */
  messages: Message[];
  persist: PersistBatch | null;
  /** Committed and to be applied in this order; contiguous with the previous range; acknowledged by `applied(index)`. */
  committed: readonly Entry[];
  reads: ReadReady[];
  failedReads: { readonly request: number; readonly reason: DropReason }[];
  /** End of a leadership transfer that was asked for here: null reason means it succeeded. */
  transferEnded: { readonly target: RaftId; readonly reason: DropReason | null } | null;
  /** A follower needs this snapshot: open a stream; report the end with `reportSnapshot`. */
  snapshotTo: { readonly to: RaftId; readonly meta: SnapshotMeta; readonly message: Message }[];
}

/**
 * Answer to a proposal; `index` is that of the first entry appended. Results are values: building an Error captures a
 * stack, on the hottest path there is.
 */
export type ProposeResult =
  | { readonly ok: true; readonly index: Index; readonly term: Term }
  | { readonly ok: false; readonly reason: DropReason; readonly leader: RaftId };

/** What a restarting member has on its disk. */
export interface DurableState {
  readonly hardState: HardState;
  /** The configuration at `appliedIndex`. */
  readonly confState: ConfState;
  /** Index of the entry that introduced `confState`; absent in states written before it was kept. */
  readonly confIndex?: Index;
  /** The newest snapshot boundary: entries up to here are gone from the log. */
  readonly snapshotIndex: Index;
  readonly snapshotTerm: Term;
  /** The log after the snapshot boundary, contiguous. */
  readonly entries: readonly Entry[];
  /** What the state machine on the same disk has applied; at least `snapshotIndex`. */
  readonly appliedIndex: Index;
}
