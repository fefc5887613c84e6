import type { Clock, KvStore, Meter, WriteOp } from "../runtime/api.js";

/** Called once: null when the write is in the store (and durable, if it was to be synced), else why not. */
export type WriteDone = (error: Error | null) => void;

interface Job {
  readonly ops: readonly WriteOp[];
  readonly bytes: number;
  readonly sync: boolean;
  readonly done: WriteDone;
}

/** Latencies kept for the percentile. */
const KEPT_LATENCIES = 512;

/**
 * Group commit: one batch is under way, what comes meanwhile is merged into the next. The disk sets the pace: a slow
 * one gets larger batches. Writes reach the store and are acknowledged in the order of the calls (lesson L28).
 */
export class CommitQueue {
  readonly #kv: KvStore;
  readonly #clock: Clock;
  readonly #meter: Meter;
  readonly #batchBytesMax: number;
  #waiting: Job[] = [];
  #inFlight: readonly Job[] | null = null;
  #inFlightSync = false;
  #startedMs = 0;
  #pendingBytes = 0;
  #failure: Error | null = null;
  #failureListener: ((error: Error) => void) | null = null;
  #idle: (() => void)[] = [];
  readonly #latencies = new Float64Array(KEPT_LATENCIES);
  #latencyCount = 0;

  constructor(kv: KvStore, clock: Clock, meter: Meter, batchBytesMax: number) {
    this.#kv = kv;
    this.#clock = clock;
    this.#meter = meter;
    this.#batchBytesMax = batchBytesMax;
  }

  /** The first write error; everything after it fails with it. */
  get failure(): Error | null {
    return this.#failure;
  }

  /** Bytes that wait or are under way. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Called once, at the first write error. */
  onFailure(listener: (error: Error) => void): void {
    this.#failureListener = listener;
  }

  /** Queues a write. `done` is never called inside this call. */
  submit(ops: readonly WriteOp[], sync: boolean, done: WriteDone): void {
    const failure = this.#failure;
    if (failure !== null) {
      queueMicrotask(() => done(failure));
      return;
    }
    let bytes = 0;
    for (const op of ops) bytes += op.key.length + (op.type === "put" ? op.value.length : 0);
    this.#waiting.push({ ops, bytes, sync, done });
    this.#pendingBytes += bytes;
    if (this.#inFlight === null) this.#start();
  }

  /** The same as a promise, for what is not hot. */
  write(ops: readonly WriteOp[], sync: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.submit(ops, sync, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** Resolves when nothing waits any more, after success or failure. */
  async drain(): Promise<void> {
    while (this.#inFlight !== null) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /**
   * How long the batch under way has been at it, in ms; 0 when there is none. An unsynced one counts too: what has to be
   * synced waits behind it, and a disk may hang in either.
   */
  oldestPendingSyncMs(): number {
    return this.#inFlight !== null ? this.#clock.monotonicMs() - this.#startedMs : 0;
  }

  /** 99th percentile of the latest synced batches, in ms; 0 before the first. */
  fsyncP99Ms(): number {
    const count = Math.min(this.#latencyCount, KEPT_LATENCIES);
    if (count === 0) return 0;
    const sorted = this.#latencies.slice(0, count).sort();
    return sorted[Math.min(count - 1, Math.ceil(count * 0.99) - 1)] ?? 0;
  }

  #start(): void {
    const jobs = this.#take();
    this.#inFlight = jobs;
    this.#inFlightSync = jobs.some((job) => job.sync);
    this.#startedMs = this.#clock.monotonicMs();
    const first = jobs[0] as Job;
    const ops = jobs.length === 1 ? first.ops : jobs.flatMap((job) => job.ops);
    this.#kv.write(ops, { sync: this.#inFlightSync }, (error) => this.#finished(error));
  }

  /** The next batch: as many jobs as fit, at least one. */
  #take(): Job[] {
    let bytes = 0;
    let count = 0;
    for (const job of this.#waiting) {
      if (count > 0 && bytes + job.bytes > this.#batchBytesMax) break;
      bytes += job.bytes;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  #finished(error: Error | null): void {
    const jobs = this.#inFlight ?? [];
    if (error === null && this.#inFlightSync) this.#recordLatency();
    this.#inFlight = null;
    if (error !== null) this.#fail(error);
    for (const job of jobs) this.#pendingBytes -= job.bytes;
    if (this.#failure === null && this.#waiting.length > 0) this.#start();
    for (const job of jobs) job.done(error);
    if (this.#failure !== null) this.#refuseWaiting(this.#failure);
    if (this.#inFlight === null) for (const wake of this.#idle.splice(0)) wake();
  }

  #recordLatency(): void {
    const ms = this.#clock.monotonicMs() - this.#startedMs;
    this.#latencies[this.#latencyCount++ % KEPT_LATENCIES] = ms;
    this.#meter.observe("fsync_ms", ms);
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#meter.count("storage_failures");
    this.#failureListener?.(error);
  }

  #refuseWaiting(error: Error): void {
    const refused = this.#waiting;
    this.#waiting = [];
    for (const job of refused) {
      this.#pendingBytes -= job.bytes;
      job.done(error);
    }
  }
}
