/**
 * The vocabulary of the consensus core: terms, indices, entries, configurations.
 *
 * Indices and terms are plain numbers, always safe integers: 2^53 entries at a million a second are 285 years, and a
 * bigint on the hot path costs a heap value per comparison.
 */

/** A consensus member, 1..2^32-1. Zero means "nobody" (no vote, no leader). Names and addresses live above the core. */
export type RaftId = number;
/** An election period. Never falls. */
export type Term = number;
/** A position in the log. The first entry that a log can hold has index 1. */
export type Index = number;

/** Nobody: no leader known, no vote given. */
export const NONE: RaftId = 0;

/** What an entry's data means to the core. */
export const EntryKind = { Normal: 0, ConfChange: 1, ConfChangeV2: 2 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/**
 * One log entry. Made once, by the proposer or the decoder, and shared by reference from there on; never mutated.
 * `data` is opaque for normal entries; for configuration changes it is the change in the core's own encoding.
 */
export class Entry {
  constructor(
    readonly term: Term,
    readonly index: Index,
    readonly kind: EntryKind,
    readonly data: Uint8Array,
  ) {}
}

/** What must be on disk before any message that rests on it leaves. One record: never two writes (lesson L5). */
export interface HardState {
  readonly term: Term;
  readonly vote: RaftId;
  /** A hint: recovery never trusts it beyond the log (lesson L25). */
  readonly commit: Index;
}

/** A membership configuration. Joint while `votersOutgoing` is not empty. Ids ascend in each list. */
export interface ConfState {
  readonly voters: readonly RaftId[];
  readonly votersOutgoing: readonly RaftId[];
  readonly learners: readonly RaftId[];
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly RaftId[];
  readonly autoLeave: boolean;
}

/** Describes a snapshot; the core never sees its data, which the shell streams from disk. */
export interface SnapshotMeta {
  readonly index: Index;
  readonly term: Term;
  readonly confState: ConfState;
  /** Index of the entry that introduced `confState`; absent in snapshots written before it was kept. */
  readonly confIndex?: Index;
}

/** One step of a membership change. */
export const ConfChangeKind = { AddVoter: 0, RemoveNode: 1, UpdateNode: 2, AddLearner: 3 } as const;
export type ConfChangeKind = (typeof ConfChangeKind)[keyof typeof ConfChangeKind];

/** How a joint configuration is left: automatically as soon as possible, or by an explicit empty change. */
export const ConfTransition = { Auto: 0, JointImplicit: 1, JointExplicit: 2 } as const;
export type ConfTransition = (typeof ConfTransition)[keyof typeof ConfTransition];

/** A membership change as proposed. `context` travels with the entry (the replica keeps names and addresses in it). */
export interface ConfChange {
  readonly transition: ConfTransition;
  readonly changes: readonly { readonly kind: ConfChangeKind; readonly id: RaftId }[];
  readonly context: Uint8Array;
}
