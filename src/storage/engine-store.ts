import type { KvIterator, KvStore, Scheduler, WriteOp } from "../runtime/api.js";
import { asBuffer } from "./bytes.js";
import { storageFailed } from "./errors.js";
import { storageMutants } from "./mutants.js";
import { isOutOfSpace } from "./rocks-errors.js";

/** Between two attempts to go on after the disk was full: the time in which somebody may have made room. */
const ROOM_RETRY_MS = 250;
/** A database that is not closed by then will never be: the node ends, and is itself again at its next start. */
const CLOSE_MAX_MS = 10_000;
/** Lowest key a caller may use; those below belong to the engine. */
const FIRST_KEY = Buffer.from([1]);

/** A view of an engine that can be ended from below: an empty read would pass for the end of the range. */
export interface EngineIterator extends KvIterator {
  abort(reason: Error): Promise<void>;
}

/** One opened database: RocksDB, or the simulated disk. Everything above it is `EngineStore`, the same for both. */
export interface KvEngine {
  /** Number of the synced batch that it ends with; zero for none. */
  readonly synced: number;
  get(key: Uint8Array): Promise<Uint8Array | null>;
  iterate(from: Buffer, to: Buffer, onEnd: (ended: EngineIterator) => void): EngineIterator;
  /**
   * Writes one batch; the next one comes after `done`, which is never called inside the call. Zero: not synced, else the
   * batch is synced and leaves this number behind. An error in the words of the database: see `isOutOfSpace`.
   */
  write(ops: readonly WriteOp[], syncNumber: number, done: (error: Error | null) => void): void;
  /** All iterators have ended. */
  close(): Promise<void>;
}

/** What an `EngineStore` needs around the database that it was given. */
export interface EngineHost {
  /** Opens the same database anew; rejects when it ends before synced batch `acknowledged`, see `lostWrites`. */
  readonly reopen: (acknowledged: number) => Promise<KvEngine>;
  /**
   * Gives back a part of what was set aside for a full disk; answers whether there was any. Null: the first write without
   * space is the last.
   */
  readonly makeRoom: (() => Promise<boolean>) | null;
  readonly scheduler: Scheduler;
  /** Told of every acknowledged synced batch. */
  readonly witness: { acknowledge(syncNumber: number): void; close(): void };
}

interface Job {
  readonly ops: readonly WriteOp[];
  readonly sync: boolean;
  readonly done: (error: Error | null) => void;
}

const EMPTY: KvIterator = { next: async () => [], close: async () => {} };

/**
 * A KvStore on an engine. One write is under way at a time: the binding of RocksDB runs writes on a thread pool, where
 * two of them could overtake each other. After the first failed write all later ones fail (lesson L21): what is in the
 * write-ahead log then, nobody knows.
 *
 * A write that found no space is the exception, where the host says how to make room: RocksDB takes no further write,
 * so the database is closed and opened again, which reads its log up to the torn end and makes durable what it finds.
 * Then the same batch is written again. Nothing was written after it, so whatever part of it is there already, the
 * result is the same. Until there is room the write just takes long, as on a disk that hangs.
 */
export class EngineStore implements KvStore {
  readonly #host: EngineHost;
  #engine: KvEngine;
  readonly #iterators = new Set<EngineIterator>();
  readonly #queue: Job[] = [];
  #busy = false;
  /** Number of the synced batch written last, and of the one acknowledged last. */
  #synced: number;
  #acknowledged: number;
  #failure: Error | null = null;
  /** Why the database cannot be read now; null when it can. */
  #away: Error | null = null;
  #closed = false;
  /** A write of the database that is open now found no space. */
  #ranOut = false;
  #whenIdle: (() => void) | null = null;

  constructor(engine: KvEngine, host: EngineHost) {
    this.#engine = engine;
    this.#host = host;
    this.#synced = engine.synced;
    this.#acknowledged = engine.synced;
  }

  write(
    ops: readonly WriteOp[],
    options: { readonly sync: boolean },
    done: (error: Error | null) => void,
  ): void {
    this.#queue.push({ ops, sync: options.sync, done });
    if (!this.#busy) this.#next();
  }

  async get(key: Uint8Array): Promise<Uint8Array | null> {
    this.#mustBeOpen();
    return this.#engine.get(key);
  }

  iterate(from: Uint8Array, to: Uint8Array): KvIterator {
    this.#mustBeOpen();
    const start = Buffer.compare(from, FIRST_KEY) < 0 ? FIRST_KEY : asBuffer(from);
    if (Buffer.compare(start, to) >= 0) return EMPTY;
    const iterator = this.#engine.iterate(start, asBuffer(to), (ended) => this.#iterators.delete(ended));
    this.#iterators.add(iterator);
    return iterator;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#busy || this.#queue.length > 0)
      await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    if (this.#ranOut) await this.#afterMending();
    if (this.#away === null)
      await this.#takeAway(storageFailed("the store is closed", "this is a bug: report it"));
    this.#host.witness.close();
  }

  /** Ends all reading and closes the database. An empty read would pass for the end of a range: they fail instead. */
  async #takeAway(away: Error): Promise<void> {
    this.#away = away;
    for (const iterator of [...this.#iterators]) await iterator.abort(away);
    await new Promise<void>((resolve, reject) => {
      const giveUp = this.#host.scheduler.after(CLOSE_MAX_MS, () => reject(neverClosed(away)));
      this.#engine
        .close()
        .then(resolve, reject)
        .finally(() => giveUp.cancel());
    });
  }

  #mustBeOpen(): void {
    if (this.#away !== null) throw this.#away;
    if (this.#closed) throw storageFailed("the store is closed", "this is a bug: report it");
  }

  #next(): void {
    const job = this.#queue.shift();
    if (job === undefined) {
      const idle = this.#whenIdle;
      this.#whenIdle = null;
      idle?.();
      return;
    }
    this.#busy = true;
    const refused = this.#refusal(job);
    if (refused !== null) {
      queueMicrotask(() => this.#finish(job, refused));
      return;
    }
    this.#perform(job);
  }

  #perform(job: Job): void {
    const syncNumber = job.sync ? ++this.#synced : 0;
    this.#engine.write(job.ops, syncNumber, (error) => {
      if (error) return this.#failed(job, error);
      if (job.sync) {
        this.#acknowledged = this.#synced;
        this.#host.witness.acknowledge(this.#synced);
      }
      this.#finish(job, null);
    });
  }

  #failed(job: Job, error: Error): void {
    const { makeRoom } = this.#host;
    this.#ranOut ||= isOutOfSpace(error);
    if (makeRoom === null || !isOutOfSpace(error)) {
      this.#failure ??= writeError(error);
      return this.#finish(job, this.#failure);
    }
    this.#openAnew(makeRoom, writeError(error)).then(
      () => (storageMutants.fullBatchForgotten ? this.#finish(job, null) : this.#perform(job)),
      (failure: Error) => {
        this.#failure ??= failure;
        this.#finish(job, this.#failure);
      },
    );
  }

  /**
   * After a write that found no space RocksDB tries to mend itself first, in a thread of its own, and a database that is
   * closed while it does so may never be done with closing.
   */
  #afterMending(): Promise<void> {
    return new Promise((resolve) => this.#host.scheduler.after(ROOM_RETRY_MS, resolve));
  }

  /** Resolves once the database is open again, however long there is no room for that. */
  async #openAnew(makeRoom: () => Promise<unknown>, why: Error): Promise<void> {
    for (;;) {
      await this.#afterMending();
      if (this.#away === null) await this.#takeAway(why);
      if (this.#closed) throw why;
      await makeRoom();
      try {
        const engine = await this.#host.reopen(this.#acknowledged);
        this.#engine = engine;
        this.#synced = Math.max(this.#synced, engine.synced);
        this.#away = null;
        this.#ranOut = false;
        return;
      } catch (error) {
        if (!isOutOfSpace(error as Error)) throw error;
      }
    }
  }

  #finish(job: Job, error: Error | null): void {
    this.#busy = false;
    try {
      job.done(error);
    } finally {
      // What was written inside the callback has started already.
      if (!this.#busy) this.#next();
    }
  }

  #refusal(job: Job): Error | null {
    if (this.#failure !== null) return this.#failure;
    if (this.#closed && this.#whenIdle === null)
      return storageFailed("the store is closed", "this is a bug: report it");
    for (const op of job.ops)
      if (op.key.length === 0 || op.key[0] === 0)
        return new RangeError("keys that are empty or begin with 0 belong to the store");
    return null;
  }
}

function neverClosed(cause: Error): Error {
  return storageFailed(
    `the database of the data folder could not be closed within ${CLOSE_MAX_MS} ms`,
    "start the node again; it goes on where it was",
    cause,
  );
}

function writeError(error: Error): Error {
  if (/no space left/i.test(error.message))
    return storageFailed(
      "the data folder's disk is full",
      "make room; the node goes on where it was at its next start",
      error,
    );
  return storageFailed(
    `writing to the data folder failed: ${error.message}`,
    "check the disk (dmesg, smartctl), then start the node again",
    error,
  );
}
