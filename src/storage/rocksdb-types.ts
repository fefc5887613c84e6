import { createRequire } from "node:module";

/** The part of the npm package `rocksdb` 5.2.1 that we use; its published types describe an older interface. */
export interface RocksDatabase {
  open(options: RocksOptions, done: (error?: Error | null) => void): void;
  close(done: (error?: Error | null) => void): void;
  get(key: Buffer, done: (error: Error | null | undefined, value?: Buffer) => void): void;
  batch(
    ops: readonly RocksOp[],
    options: { readonly sync: boolean },
    done: (error?: Error | null) => void,
  ): void;
  iterator(options: {
    readonly gte: Buffer;
    readonly lt: Buffer;
    readonly highWaterMark: number;
  }): RocksIterator;
}

/** What one operation must look like; keys and values must be Buffers, a Uint8Array would be stringified. */
export type RocksOp =
  | { readonly type: "put"; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: "del"; readonly key: Buffer };

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
