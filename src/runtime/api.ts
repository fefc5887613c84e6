/**
 * The seams to the world. Logic takes these as parameters and never reaches around them, so that a whole cluster can
 * run in one thread under virtual time from one seed.
 */

/** Time. Only `monotonicMs` may decide anything; `wallMs` is for people. */
export interface Clock {
  /** Milliseconds since some fixed point, never going back, with fractions. */
  monotonicMs(): number;
  /** Unix time in milliseconds. May jump. */
  wallMs(): number;
}

/** Randomness. */
export interface Random {
  /** Uniform integer in [0, bound), bound at most 2^32. */
  below(bound: number): number;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
}

/** A timer that was set; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/** Runs things later. Callbacks never run inside the call that sets them. */
export interface Scheduler {
  /** Once, after at least `delayMs`. The timer does not keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
  /** In the next phase, after the I/O that is waiting now was looked at. */
  soon(run: () => void): void;
}

/** Structured log. Must drop rather than block when nobody reads it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

/** Measurements; implementations aggregate, callers just say what they saw. */
export interface Meter {
  /** Adds to a counter. */
  count(name: string, by?: number, labels?: Record<string, string>): void;
  /** Sets a gauge. */
  gauge(name: string, value: number, labels?: Record<string, string>): void;
  /** Adds an observation to a histogram; durations in milliseconds. */
  observe(name: string, value: number, labels?: Record<string, string>): void;
}

/** What most components need from the world. */
export interface Runtime {
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly log: Log;
  readonly meter: Meter;
}

/** One put or delete of a write batch. */
export type WriteOp =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: Uint8Array };

/** A consistent view that is read forward, batch by batch. `close` is idempotent and must be called. */
export interface KvIterator {
  /** Up to `countMax` entries and about `bytesMax` bytes; empty at the end. */
  next(
    countMax: number,
    bytesMax: number,
  ): Promise<readonly (readonly [key: Uint8Array, value: Uint8Array])[]>;
  close(): Promise<void>;
}

/**
 * An ordered key-value store on a disk: what storage logic stands on. Keys order bytewise.
 *
 * Promises: a batch is applied whole or not at all, also across a crash. Batches reach the disk in the order of the
 * calls; when a synced batch is durable, all earlier ones are. After the first failed sync every later write fails:
 * a retried fsync may succeed falsely (lessons L10, L21).
 *
 * Keys are not empty and do not begin with a zero byte: those belong to the store.
 */
export interface KvStore {
  /**
   * Calls back once the batch is readable and, with `sync`, durable: in the order of the calls, never inside the call.
   * Never throws; several calls may be under way. An empty synced batch still makes all earlier ones durable.
   */
  write(
    ops: readonly WriteOp[],
    options: { readonly sync: boolean },
    done: (error: Error | null) => void,
  ): void;
  get(key: Uint8Array): Promise<Uint8Array | null>;
  /** Entries with from <= key < to, as of now (every write that has called back), whatever is written meanwhile. */
  iterate(from: Uint8Array, to: Uint8Array): KvIterator;
  close(): Promise<void>;
}

/**
 * Opens the store of a node; fails with STORAGE_FAILED and a clear sentence for a damaged or locked folder.
 *
 * What an opened store shows is durable, also the part that was never synced before a crash: a member acknowledges what
 * it finds in its log, and must not lose it at a second crash.
 */
export interface KvOpener {
  open(folder: string): Promise<KvStore>;
}
