import { mkdirSync } from "node:fs";
import type { KvIterator, KvOpener, KvStore, WriteOp } from "../runtime/api.js";
import { realScheduler } from "../runtime/scheduler.js";
import { asBuffer, writeU64 } from "./bytes.js";
import { storageFailed } from "./errors.js";
import { isOutOfSpace, openError, refuseHeadless } from "./rocks-errors.js";
import { RocksKvIterator } from "./rocks-iterator.js";
import {
  closeDatabase,
  openDatabase,
  readKey,
  SYNC_KEY,
  type OpenedDatabase,
  type RocksOptions,
} from "./rocks-open.js";
import type { RocksDatabase } from "./rocksdb-types.js";
import { SyncWitness } from "./sync-witness.js";

/** Between two attempts to go on after the disk was full: the time in which somebody may have made room. */
const ROOM_RETRY_MS = 250;
/** Lowest key a caller may use. */
const FIRST_KEY = Buffer.from([1]);

interface Job {
  readonly ops: readonly WriteOp[];
  readonly sync: boolean;
  readonly done: (error: Error | null) => void;
}

/** Opens RocksDB folders. */
export function rocksOpener(options: RocksOptions = {}): KvOpener {
  return { open: (folder) => openRocks(folder, options) };
}

/**
 * Opens the database in `folder`, making it if there is none. Rejects with STORAGE_FAILED for a folder that is locked
 * by another process, damaged, not writable, or that has lost writes it had acknowledged.
 */
export async function openRocks(folder: string, options: RocksOptions = {}): Promise<KvStore> {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw openError(folder, error as Error);
  }
  refuseHeadless(folder);
  const opened = await openDatabase(folder, options, SyncWitness.read(folder));
  return new RocksKv(folder, options, opened, new SyncWitness(folder, realScheduler));
}

/**
 * RocksDB as a KvStore. One write is under way at a time: the binding runs writes on a thread pool, where two of them
 * could overtake each other. After the first failed write all later ones fail (lesson L21): what is in the write-ahead
 * log then, nobody knows.
 *
 * A write that found no space is the exception, where the options say how to make room: RocksDB takes no further write,
 * so the database is closed and opened again, which reads its log up to the torn end and makes durable what it finds.
 * Then the same batch is written again. Nothing was written after it, so whatever part of it is there already, the
 * result is the same. Until there is room the write just takes long, as on a disk that hangs.
 */
class RocksKv implements KvStore {
  readonly #folder: string;
  readonly #options: RocksOptions;
  #db: RocksDatabase;
  readonly #witness: SyncWitness;
  readonly #iterators = new Set<RocksKvIterator>();
  readonly #queue: Job[] = [];
  #busy = false;
  /** Number of the synced batch written last, and of the one acknowledged last. */
  #synced: number;
  #acknowledged: number;
  /** Attempts to go on since the last write that succeeded. */
  #attempts = 0;
  #failure: Error | null = null;
  /** Why the database cannot be read now; null when it can. */
  #away: Error | null = null;
  #closed = false;
  #whenIdle: (() => void) | null = null;

  constructor(folder: string, options: RocksOptions, opened: OpenedDatabase, witness: SyncWitness) {
    this.#folder = folder;
    this.#options = options;
    this.#db = opened.db;
    this.#synced = opened.synced;
    this.#acknowledged = opened.synced;
    this.#witness = witness;
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
    return readKey(this.#db, asBuffer(key));
  }

  iterate(from: Uint8Array, to: Uint8Array): KvIterator {
    this.#mustBeOpen();
    const start = Buffer.compare(from, FIRST_KEY) < 0 ? FIRST_KEY : asBuffer(from);
    if (Buffer.compare(start, to) >= 0) return EMPTY;
    const iterator = new RocksKvIterator(
      this.#db.iterator({ gte: start, lt: asBuffer(to), highWaterMark: 256 * 1024 }),
      (ended) => this.#iterators.delete(ended),
    );
    this.#iterators.add(iterator);
    return iterator;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#busy) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    if (this.#away === null)
      await this.#takeAway(storageFailed("the store is closed", "this is a bug: report it"));
    this.#witness.close();
  }

  /** Ends all reading and closes the database. An empty read would pass for the end of a range: they fail instead. */
  async #takeAway(away: Error): Promise<void> {
    this.#away = away;
    for (const iterator of [...this.#iterators]) await iterator.abort(away);
    await closeDatabase(this.#db);
  }

  #mustBeOpen(): void {
    if (this.#away !== null) throw this.#away;
    if (this.#closed) throw storageFailed("the store is closed", "this is a bug: report it");
  }

  #next(): void {
    const job = this.#queue.shift();
    if (job === undefined) {
      this.#busy = false;
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
    const batch = this.#db.batch();
    for (const op of job.ops) {
      if (op.type === "put") batch.put(asBuffer(op.key), asBuffer(op.value));
      else batch.del(asBuffer(op.key));
    }
    // An empty synced batch would reach neither the log nor the disk; the store's own key makes it a real one.
    if (job.sync) batch.put(SYNC_KEY, this.#nextSync());
    batch.write({ sync: job.sync }, (error) => {
      if (error) return this.#failed(job, error);
      this.#attempts = 0;
      if (job.sync) {
        this.#acknowledged = this.#synced;
        this.#witness.acknowledge(this.#synced);
      }
      this.#finish(job, null);
    });
  }

  #failed(job: Job, error: Error): void {
    const { makeRoom } = this.#options;
    if (makeRoom === undefined || !isOutOfSpace(error)) {
      this.#failure ??= writeError(error);
      return this.#finish(job, this.#failure);
    }
    this.#openAnew(makeRoom, writeError(error)).then(
      () => this.#perform(job),
      (failure: Error) => {
        this.#failure ??= failure;
        this.#finish(job, this.#failure);
      },
    );
  }

  /** Resolves once the database is open again, however long there is no room for that. */
  async #openAnew(makeRoom: () => Promise<void>, why: Error): Promise<void> {
    await this.#takeAway(why);
    for (;;) {
      if (this.#attempts++ > 0)
        await new Promise<void>((resolve) => realScheduler.after(ROOM_RETRY_MS, resolve));
      if (this.#closed) throw why;
      await makeRoom();
      try {
        const opened = await openDatabase(this.#folder, this.#options, this.#acknowledged);
        this.#db = opened.db;
        this.#synced = Math.max(this.#synced, opened.synced);
        this.#away = null;
        return;
      } catch (error) {
        if (!isOutOfSpace(error as Error)) throw error;
      }
    }
  }

  #finish(job: Job, error: Error | null): void {
    try {
      job.done(error);
    } finally {
      this.#next();
    }
  }

  #nextSync(): Buffer {
    const value = Buffer.allocUnsafe(8);
    writeU64(value, ++this.#synced, 0);
    return value;
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

const EMPTY: KvIterator = { next: async () => [], close: async () => {} };

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
