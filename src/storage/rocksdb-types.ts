import { createRequire } from "node:module";

/** The part of the npm package `rocksdb` 5.2.1 that we use; its published types describe an older interface. */
export interface RocksDatabase {
  open(options: RocksOptions, done: (error?: Error | null) => void): void;
  close(done: (error?: Error | null) => void): void;
  get(key: Buffer, done: (error: Error | null | undefined, value?: Buffer) => void): void;
  batch(): RocksBatch;
  iterator(options: {
    readonly gte: Buffer;
    readonly lt: Buffer;
    readonly highWaterMark: number;
  }): RocksIterator;
}

/** Collects operations for one atomic write: half the cost of handing over an array of objects. Used once. */
export interface RocksBatch {
  put(key: Buffer, value: Buffer): void;
  del(key: Buffer): void;
  write(options: { readonly sync: boolean }, done: (error?: Error | null) => void): void;
}

/** Options of opening a database that are used here. */
export interface RocksOptions {
  readonly createIfMissing: boolean;
  readonly errorIfExists: boolean;
  readonly compression: boolean;
  readonly cacheSize: number;
  readonly writeBufferSize: number;
  readonly maxOpenFiles: number;
}

/** Reads forward. `cache` holds what the last `next` fetched beyond its own entry, reversed: value, key, value, key. */
export interface RocksIterator {
  next(done: (error: Error | null | undefined, key?: Buffer, value?: Buffer) => void): void;
  end(done: (error?: Error | null) => void): void;
  cache: Buffer[] | null | undefined;
}

/** Makes a database object; nothing touches the disk before `open`. */
export const newRocksDatabase = createRequire(import.meta.url)("rocksdb") as (
  folder: string,
) => RocksDatabase;
