import { hash32, spread52 } from "./hash.js";
import type { DirtyRecord } from "./api.js";

/** Thrown when the state contradicts itself: stops the process rather than serve from it. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${message}`);
}

/** One record in memory: the bookkeeping that makes it durable and comparable. */
export abstract class Row {
  /** Hash of key and value as counted in the digest; zero: not counted. */
  hash = 0;
  /** Changed since it was encoded last. */
  dirty = false;
  /** Deleted. */
  gone = false;

  /** Key on disk: one byte for the kind, then the id, in bytewise order. */
  abstract diskKey(): Uint8Array;
  /** The record's protobuf encoding. */
  abstract encode(): Uint8Array;
}

/** Collects what changed: each record is encoded once per batch, and the digest follows without a full scan. */
export class Journal {
  #rows: Row[] = [];
  #encoded: DirtyRecord[] = [];
  #sum = 0;

  /** Notes that a row was made, changed or deleted. */
  touch(row: Row): void {
    if (row.dirty) return;
    row.dirty = true;
    this.#rows.push(row);
  }

  /** Counts a row that was loaded from disk. */
  adopt(row: Row, key: Uint8Array, value: Uint8Array): void {
    row.hash = recordHash(key, value);
    this.#add(row.hash);
  }

  /** The changed records since the last call, each once. */
  take(): DirtyRecord[] {
    const split = this.#encoded.length > 0;
    const gone = this.#flush();
    const records = this.#encoded;
    this.#encoded = [];
    return split || gone ? latestOfEach(records) : records;
  }

  /** Digest of all records, the changed ones included. */
  digest(): number {
    this.#flush();
    return this.#sum;
  }

  /** Forgets everything, for a load into a used machine. */
  clear(): void {
    this.#rows = [];
    this.#encoded = [];
    this.#sum = 0;
  }

  #flush(): boolean {
    const rows = this.#rows;
    if (rows.length === 0) return false;
    this.#rows = [];
    let anyGone = false;
    for (const row of rows) {
      row.dirty = false;
      const known = row.hash !== 0;
      if (known) this.#add(-spread52(row.hash), true);
      row.hash = 0;
      if (row.gone) {
        if (!known) continue;
        anyGone = true;
        this.#encoded.push({ key: row.diskKey(), value: null });
        continue;
      }
      const key = row.diskKey();
      const value = row.encode();
      row.hash = recordHash(key, value);
      this.#add(row.hash);
      this.#encoded.push({ key, value });
    }
    return anyGone;
  }

  #add(amount: number, raw = false): void {
    const next = this.#sum + (raw ? amount : spread52(amount));
    // Sum modulo 2^52: two parts add up exactly in a double.
    this.#sum =
      next < 0 ? next + 4503599627370496 : next >= 4503599627370496 ? next - 4503599627370496 : next;
  }
}

function recordHash(key: Uint8Array, value: Uint8Array): number {
  return hash32(value, hash32(key, 0x2545f491)) || 1;
}

/** A record that was deleted and made again in one batch appears twice; the later one counts. */
function latestOfEach(records: readonly DirtyRecord[]): DirtyRecord[] {
  const latest = new Map<string, DirtyRecord>();
  for (const record of records) {
    const id = Buffer.from(record.key).toString("latin1");
    latest.delete(id);
    latest.set(id, record);
  }
  return [...latest.values()];
}
