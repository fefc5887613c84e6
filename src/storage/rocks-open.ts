import { readU64 } from "./bytes.js";
import { lostWrites, REBUILD_FROM_PEERS, storageFailed } from "./errors.js";
import { openError } from "./rocks-errors.js";
import { newRocksDatabase, type RocksDatabase } from "./rocksdb-types.js";

/** Sizes of the database; the defaults suit a node with a million handles in a few hundred MB. */
export interface RocksOptions {
  readonly writeBufferBytes?: number;
  readonly cacheBytes?: number;
  /**
   * Called when a write found no space: gives back a part of what was set aside for that and answers whether there was
   * any. The database is then opened anew and the write repeated, for as long as it takes. Without it the first such
   * write is the last, as with any other error. A first opening without space is repeated while something is given back.
   */
  readonly makeRoom?: () => Promise<boolean>;
}

/** Size of the table in memory; the log file that protects it ends with it. */
export function writeBufferBytes(options: RocksOptions): number {
  return options.writeBufferBytes ?? 16 * 1024 * 1024;
}

/** Own key of the store: the number of the synced batch that wrote it. Keys that begin with 0 belong to the store. */
export const SYNC_KEY = Buffer.from([0]);

/** A database and the number of the synced batch that it ends with. */
export interface OpenedDatabase {
  readonly db: RocksDatabase;
  readonly synced: number;
}

/** Opens or makes the database; rejects with STORAGE_FAILED, also when it ends before synced batch `acknowledged`. */
export async function openDatabase(
  folder: string,
  options: RocksOptions,
  acknowledged: number,
): Promise<OpenedDatabase> {
  const db = newRocksDatabase(folder);
  await new Promise<void>((resolve, reject) => {
    db.open(
      {
        createIfMissing: true,
        errorIfExists: false,
        compression: false,
        cacheSize: options.cacheBytes ?? 32 * 1024 * 1024,
        writeBufferSize: writeBufferBytes(options),
        maxOpenFiles: 500,
      },
      (error) => (error ? reject(openError(folder, error)) : resolve()),
    );
  });
  try {
    const found = await readKey(db, SYNC_KEY);
    const synced = found === null ? 0 : readU64(found, 0);
    const lost = lostWrites(folder, acknowledged, synced);
    if (lost !== null) throw lost;
    return { db, synced };
  } catch (error) {
    await closeDatabase(db).catch(() => undefined);
    throw error;
  }
}

/** Closes a database whose iterators have ended. */
export function closeDatabase(db: RocksDatabase): Promise<void> {
  return new Promise((resolve, reject) => db.close((error) => (error ? reject(error) : resolve())));
}

/** The value of a key, null when there is none. Rejects with STORAGE_FAILED. */
export function readKey(db: RocksDatabase, key: Buffer): Promise<Buffer | null> {
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
