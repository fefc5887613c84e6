import { mkdirSync } from "node:fs";
import type { KvOpener, KvStore, WriteOp } from "../runtime/api.js";
import { realScheduler } from "../runtime/scheduler.js";
import { asBuffer, writeU64 } from "./bytes.js";
import { type EngineIterator, EngineStore, type KvEngine } from "./engine-store.js";
import { isOutOfSpace, openError, refuseHeadless } from "./rocks-errors.js";
import { RocksKvIterator } from "./rocks-iterator.js";
import {
  closeDatabase,
  openDatabase,
  readKey,
  SYNC_KEY,
  writeBufferBytes,
  type RocksOptions,
} from "./rocks-open.js";
import type { RocksDatabase } from "./rocksdb-types.js";
import { SyncWitness } from "./sync-witness.js";
import { WalRoom } from "./wal-room.js";

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
  const reopen = (acknowledged: number): Promise<RocksEngine> =>
    RocksEngine.open(folder, options, acknowledged);
  const engine = await firstOpening(() => reopen(SyncWitness.read(folder)), options);
  return new EngineStore(engine, {
    reopen,
    makeRoom: options.makeRoom ?? null,
    scheduler: realScheduler,
    witness: new SyncWitness(folder, realScheduler),
  });
}

/** Opening writes what the log holds into a table: on a full disk it lives on the reserve, and ends with it. */
async function firstOpening(open: () => Promise<RocksEngine>, options: RocksOptions): Promise<RocksEngine> {
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (!isOutOfSpace(error as Error) || !(await options.makeRoom?.())) throw error;
    }
  }
}

/** RocksDB below an `EngineStore`. */
class RocksEngine implements KvEngine {
  readonly #db: RocksDatabase;
  readonly #room: WalRoom;
  /** The log is being made longer; the next write waits for it. */
  #making: Promise<void> | null = null;

  private constructor(
    db: RocksDatabase,
    readonly synced: number,
    room: WalRoom,
  ) {
    this.#db = db;
    this.#room = room;
  }

  static async open(folder: string, options: RocksOptions, acknowledged: number): Promise<RocksEngine> {
    const { db, synced } = await openDatabase(folder, options, acknowledged);
    const room = walRoom(folder, options);
    await room.make();
    return new RocksEngine(db, synced, room);
  }

  get(key: Uint8Array): Promise<Uint8Array | null> {
    return readKey(this.#db, asBuffer(key));
  }

  iterate(from: Buffer, to: Buffer, onEnd: (ended: EngineIterator) => void): EngineIterator {
    const view = this.#db.iterator({ gte: from, lt: to, highWaterMark: 256 * 1024 });
    return new RocksKvIterator(view, onEnd);
  }

  write(ops: readonly WriteOp[], syncNumber: number, done: (error: Error | null) => void): void {
    if (this.#making === null) this.#write(ops, syncNumber, done);
    else void this.#making.then(() => this.#write(ops, syncNumber, done));
  }

  #write(ops: readonly WriteOp[], syncNumber: number, done: (error: Error | null) => void): void {
    const batch = this.#db.batch();
    let bytes = 0;
    for (const op of ops) {
      bytes += op.key.length;
      if (op.type === "put") {
        bytes += op.value.length;
        batch.put(asBuffer(op.key), asBuffer(op.value));
      } else batch.del(asBuffer(op.key));
    }
    // An empty synced batch would reach neither the log nor the disk; the store's own key makes it a real one.
    if (syncNumber > 0) batch.put(SYNC_KEY, encoded(syncNumber));
    batch.write({ sync: syncNumber > 0 }, (error) => {
      if (!error) this.#keepRoom(bytes);
      done(error ?? null);
    });
  }

  #keepRoom(bytes: number): void {
    const due = this.#room.wrote(bytes);
    if (due === "look") void this.#room.look();
    if (due !== "make") return;
    this.#making = this.#room.make().then(() => {
      this.#making = null;
    });
  }

  async close(): Promise<void> {
    await this.#making;
    await closeDatabase(this.#db);
  }
}

/** A log is a little longer than the write buffer that it protects, and one batch may come on top. */
function walRoom(folder: string, options: RocksOptions): WalRoom {
  return new WalRoom(folder, writeBufferBytes(options) + 8 * 1024 * 1024);
}

function encoded(syncNumber: number): Buffer {
  const value = Buffer.allocUnsafe(8);
  writeU64(value, syncNumber, 0);
  return value;
}
