import type { KvIterator } from "../runtime/api.js";
import { REBUILD_FROM_PEERS, storageFailed } from "./errors.js";
import type { RocksIterator } from "./rocksdb-types.js";

type Pair = readonly [key: Uint8Array, value: Uint8Array];

/** A forward view of the database as it was when the iterator was made. */
export class RocksKvIterator implements KvIterator {
  readonly #iterator: RocksIterator;
  readonly #onEnd: (ended: RocksKvIterator) => void;
  #reading: Promise<readonly Pair[]> | null = null;
  #closing: Promise<void> | null = null;
  #exhausted = false;
  #aborted: Error | null = null;

  constructor(iterator: RocksIterator, onEnd: (ended: RocksKvIterator) => void) {
    this.#iterator = iterator;
    this.#onEnd = onEnd;
  }

  async next(countMax: number, bytesMax: number): Promise<readonly Pair[]> {
    if (this.#aborted !== null) throw this.#aborted;
    if (this.#closing !== null || this.#exhausted) return [];
    if (this.#reading !== null)
      throw new Error("storage invariant broken: two reads of one iterator at once");
    this.#reading = this.#read(Math.max(1, countMax), bytesMax);
    try {
      return await this.#reading;
    } finally {
      this.#reading = null;
    }
  }

  /** Ends it because the store goes away under it: an empty read would pass for the end of the range. */
  abort(reason: Error): Promise<void> {
    if (this.#closing === null) this.#aborted = reason;
    return this.close();
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    await this.#reading?.catch(() => []);
    await new Promise<void>((resolve) => this.#iterator.end(() => resolve()));
    this.#onEnd(this);
  }

  async #read(countMax: number, bytesMax: number): Promise<Pair[]> {
    const pairs: Pair[] = [];
    let bytes = 0;
    while (pairs.length < countMax && bytes < bytesMax) {
      const pair = await this.#fetch();
      if (pair === null) {
        this.#exhausted = true;
        break;
      }
      pairs.push(pair);
      bytes += pair[0].length + pair[1].length;
      // The binding has fetched more than it handed out; taking it here saves a tick and a callback an entry.
      const cache = this.#iterator.cache;
      while (cache && cache.length > 1 && pairs.length < countMax && bytes < bytesMax) {
        const key = cache.pop() as Buffer;
        const value = cache.pop() as Buffer;
        pairs.push([key, value]);
        bytes += key.length + value.length;
      }
      // Where what was fetched is used up, the next read begins with a fetch, which a thread does while the caller works.
      if (pairs.length > countMax / 2) break;
    }
    return pairs;
  }

  #fetch(): Promise<Pair | null> {
    return new Promise((resolve, reject) => {
      this.#iterator.next((error, key, value) => {
        if (error)
          reject(
            storageFailed(`reading the data folder failed: ${error.message}`, REBUILD_FROM_PEERS, error),
          );
        else resolve(key === undefined || value === undefined ? null : [key, value]);
      });
    });
  }
}
