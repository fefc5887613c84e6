import { mkdirSync } from "node:fs";
import type { KvIterator, KvOpener, KvStore, WriteOp } from "../runtime/api.js";
import { realScheduler } from "../runtime/scheduler.js";
import { asBuffer, readU64, writeU64 } from "./bytes.js";
import { REBUILD_FROM_PEERS, storageFailed } from "./errors.js";
import { openError, refuseHeadless } from "./rocks-errors.js";
import { RocksKvIterator } from "./rocks-iterator.js";
import { newRocksDatabase, type RocksDatabase } from "./rocksdb-types.js";
import { SyncWitness } from "./sync-witness.js";

/** Sizes of the database; the defaults suit a node with a million handles in a few hundred MB. */
export interface RocksOptions {
  readonly writeBufferBytes?: number;
  readonly cacheBytes?: number;
}

/** Own key of the store: the number of the synced batch that wrote it. Keys that begin with 0 belong to the store. */
const SYNC_KEY = Buffer.from([0]);
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
  const db = newRocksDatabase(folder);
  await new Promise<void>((resolve, reject) => {
    db.open(
      {
        createIfMissing: true,
        errorIfExists: false,
        compression: false,
        cacheSize: options.cacheBytes ?? 32 * 1024 * 1024,
        writeBufferSize: options.writeBufferBytes ?? 16 * 1024 * 1024,
        maxOpenFiles: 500,
      },
      (error) => (error ? reject(openError(folder, error)) : resolve()),
    );
  });
  try {
    const found = await readKey(db, SYNC_KEY);
    const synced = found === null ? 0 : readU64(found, 0);
    const acknowledged = SyncWitness.read(folder);
    if (synced < acknowledged)
      throw storageFailed(
        `data folder ${folder} has lost acknowledged writes: it acknowledged ${acknowledged} synced batches and holds ${synced}`,
        REBUILD_FROM_PEERS,
      );
    return new RocksKv(db, synced, new SyncWitness(folder, realScheduler));
  } catch (error) {
    await new Promise<void>((resolve) => db.close(() => resolve()));
    throw error;
  }
}

/**
 * RocksDB as a KvStore. One write is under way at a time: the binding runs writes on a thread pool, where two of them
 * could overtake each other. After the first failed write all later ones fail (lesson L21): what is in the write-ahead
 * log then, nobody knows.
 */
class RocksKv implements KvStore {
  readonly #db: RocksDatabase;
  readonly #witness: SyncWitness;
  readonly #iterators = new Set<RocksKvIterator>();
  readonly #queue: Job[] = [];
  #busy = false;
  #synced: number;
  #failure: Error | null = null;
  #closed = false;
  #whenIdle: (() => void) | null = null;

  constructor(db: RocksDatabase, synced: number, witness: SyncWitness) {
    this.#db = db;
    this.#synced = synced;
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
    if (this.#closed) throw storageFailed("the store is closed", "this is a bug: report it");
    return readKey(this.#db, asBuffer(key));
  }

  iterate(from: Uint8Array, to: Uint8Array): KvIterator {
    if (this.#closed) throw storageFailed("the store is closed", "this is a bug: report it");
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
    for (const iterator of [...this.#iterators]) await iterator.close();
    await new Promise<void>((resolve, reject) =>
      this.#db.close((error) => (error ? reject(error) : resolve())),
    );
    this.#witness.close();
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
    const batch = this.#db.batch();
    for (const op of job.ops) {
      if (op.type === "put") batch.put(asBuffer(op.key), asBuffer(op.value));
      else batch.del(asBuffer(op.key));
    }
    // An empty synced batch would reach neither the log nor the disk; the store's own key makes it a real one.
    if (job.sync) batch.put(SYNC_KEY, this.#nextSync());
    batch.write({ sync: job.sync }, (error) => {
      if (error) this.#failure ??= writeError(error);
      else if (job.sync) this.#witness.acknowledge(this.#synced);
      this.#finish(job, error ? this.#failure : null);
    });
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

function readKey(db: RocksDatabase, key: Buffer): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    db.get(key, (error, value) => {
      if (!error) resolve(value ?? null);
      else if (/^NotFound/.test(error.message)) resolve(null);
      else
        reject(
          storageFailed(
            `reading key ${key.toString("hex")} failed: ${error.message}`,
            REBUILD_FROM_PEERS,
            error,
          ),
        );
    });
  });
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
