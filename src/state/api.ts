import type { v1 } from "../wire/index.js";

/** Where a command stands: its log index is the revision of everything that it changes. */
export interface ApplyContext {
  readonly index: number;
  /** Cluster time stamped by the leader; never going back. */
  readonly clusterTimeMs: number;
}

/** What one command did. Events are in order; `result` goes to whoever proposed it. */
export interface Applied {
  readonly result: v1.ICommandResult;
  readonly events: readonly v1.IEvent[];
}

/** A key and its new value for the disk; null deletes. Keys are bytewise ordered by kind, then id. */
export interface DirtyRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/**
 * The state machine. Deterministic: equal states and equal commands give equal states, results and events, on every
 * member and at every time. Bad commands give an error result, never an exception: an exception is a broken invariant.
 */
export interface StateMachine extends StateView {
  apply(command: v1.ICommand, context: ApplyContext): Applied;
  /** The records changed since the last call, each once, encoded; for the same disk batch as the applied index. */
  takeDirty(): DirtyRecord[];
  /** Builds the state from records as they lie on disk. Refuses a format newer than this program knows. */
  load(records: Iterable<{ readonly key: Uint8Array; readonly value: Uint8Array }>): void;
  /**
   * After `load`: derives indexes, checks cross references. With a bound it does at most so many short steps, so that a
   * large state is finished in slices; to be called until it answers true.
   */
  finishLoad(stepsMax?: number): boolean;
  /** 53-bit digest of all records, kept incrementally: equal on all members at equal applied index. */
  digest(): number;
  /** Commands that time makes due at `clusterTimeMs`: expiries, break deadlines. The leader proposes them. */
  due(clusterTimeMs: number, limit: number): v1.ICommand[];
  /** Earliest cluster time at which `due` would answer something; Infinity if never. */
  nextDueMs(): number;
}

/** Reading side, for queries, the CLI and checks. What it returns is shared: never to be mutated. */
export interface StateView {
  cluster(): v1.IClusterRecord;
  members(): Iterable<v1.IMemberRecord>;
  node(name: string): v1.INodeRecord | undefined;
  nodes(): Iterable<v1.INodeRecord>;
  session(id: number): v1.ISessionRecord | undefined;
  sessions(): Iterable<v1.ISessionRecord>;
  sessionsOf(node: string): Iterable<v1.ISessionRecord>;
  /** How many `sessionsOf` gives, without looking at each. */
  sessionCountOf(node: string): number;
  handle(id: Uint8Array): v1.IHandleRecord | undefined;
  handles(): Iterable<v1.IHandleRecord>;
  handlesOfSession(id: number): Iterable<v1.IHandleRecord>;
  handlesOfFile(share: string, fileIdOrPath: string): Iterable<v1.IHandleRecord>;
  /**
   * Byte-range locks on the file that are announced to other nodes and not granted yet. Whoever starts to serve the file
   * has to enforce them like held ones: the grant does not wait for it.
   */
  preparingLocks(share: string, fileId: string): Iterable<v1.IFileLock>;
  key(key: string): v1.IResumeKeyRecord | undefined;
  keysOf(node: string): Iterable<v1.IResumeKeyRecord>;
  leases(): Iterable<v1.ILeaseRecord>;
  lease(clientGuid: Uint8Array, key: Uint8Array): v1.ILeaseRecord | undefined;
  effects(): Iterable<v1.IEffectRecord>;
  pending(): Iterable<v1.IPendingRecord>;
  operations(): Iterable<v1.IOperationRecord>;
  failovers(): Iterable<v1.IFailoverRecord>;
  slot(sessionId: number, slot: number): v1.ISlotRecord | undefined;
  counts(): {
    readonly sessions: number;
    readonly handles: number;
    readonly keys: number;
    readonly locks: number;
  };
}
