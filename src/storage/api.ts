import type { ConfState, DurableState, Entry, HardState, Index, SnapshotMeta, Term } from "../raft/index.js";

/** A record of the replicated state as it lies on disk. */
export interface StoredRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A state record and its new value; null deletes it. */
export interface StateChange {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** What stands on disk beside the state records: which log position they describe. */
export interface AppliedMark {
  readonly index: Index;
  readonly term: Term;
  /** Configuration in force at `index`, and the index of the entry that introduced it. */
  readonly confState: ConfState;
  readonly confIndex: Index;
}

/** Reads the applied state as it stood when the reader was opened, whatever is written meanwhile. */
export interface StateReader {
  /** Of the same moment as the records. */
  readonly meta: SnapshotMeta;
  /** The next records in key order; empty at the end. */
  next(countMax: number, bytesMax: number): Promise<readonly StoredRecord[]>;
  /** Idempotent; must be called. */
  close(): Promise<void>;
}

/**
 * A received snapshot, kept aside from the state until it is installed. Survives neither `discard` nor a restart that
 * found it incomplete.
 */
export interface StagedState {
  /** Resolves when the records are written (not necessarily synced). Records come in key order. */
  add(records: readonly StoredRecord[]): Promise<void>;
  /** Idempotent; in the background. Not after a successful install. */
  discard(): void;
}

/**
 * The disk of one member, as the replica needs it: provided over any `KvStore`, a simulated one
 * included. Callbacks come in the order of the calls and never inside the call. After the first error every later
 * write fails: the owner stops the node (lessons L10, L21).
 */
export interface NodeStorage {
  /** What a restart finds. For a fresh disk: what the node's identity was bootstrapped with. */
  loadDurable(): Promise<DurableState>;
  /**
   * One atomic batch: the hard state, then truncation from the first entry's index on, then the entries. With `sync` the
   * callback says that it and everything before it is durable.
   */
  writeLog(
    hardState: HardState | null,
    entries: readonly Entry[],
    sync: boolean,
    done: (error: Error | null) => void,
  ): void;
  /** One atomic batch without sync: changed state records and the log position that they describe (lesson L24). */
  writeApplied(
    mark: AppliedMark,
    records: readonly StateChange[],
    done: (error: Error | null) => void,
  ): void;
  /**
   * Forgets the log up to and with `index`; `term` is that entry's. Atomic with the new boundary, and only to be called
   * for what a durable applied mark covers: syncs what is needed for that by itself.
   */
  compactLog(index: Index, term: Term, done: (error: Error | null) => void): void;
  openState(): Promise<StateReader>;
  /** Begins to take in a snapshot. An unfinished earlier one is discarded. */
  stageState(): Promise<StagedState>;
  /**
   * One atomic, synced switch: `staged` becomes the state, `meta` its applied mark and the boundary of the log, the old
   * log is gone, `entries` (those after the snapshot, usually none) and the hard state are written (lesson L26).
   */
  installState(
    staged: StagedState,
    meta: SnapshotMeta,
    hardState: HardState | null,
    entries: readonly Entry[],
    done: (error: Error | null) => void,
  ): void;
  /** True while the disk is nearly full: only what frees space should be written. Cached, cheap, clears by itself. */
  spaceLow(): boolean;
  close(): Promise<void>;
}
