import { closeSync, fdatasync, openSync, readFileSync, write, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { Scheduler } from "../runtime/api.js";
import { readU64, writeU64 } from "./bytes.js";

const FILE = "SYNCED";
const BYTES = 12;
/** How far the witness may lag behind: written after every sync, or every 5 ms, it cost a twentieth of a node's CPU. */
const LAG_MS = 25;

/**
 * Remembers beside the database how many synced batches it has acknowledged.
 *
 * RocksDB replays its write-ahead log up to the first damaged record and goes on without the rest; it does not notice
 * a deleted log file at all. Both would silently take back acknowledged writes: votes, entries that a quorum counted
 * on. The witness is written soon after an acknowledged sync, without a sync of its own: after a crash of the process it
 * lags some 25 ms, after a power failure it may be old, it is never too high. So a database behind its witness
 * has lost data.
 */
export class SyncWitness {
  readonly #fd: number;
  readonly #scheduler: Scheduler;
  #armed = false;
  #latest = 0;
  #written = 0;
  #writing = false;
  #closed = false;

  constructor(folder: string, scheduler: Scheduler) {
    this.#scheduler = scheduler;
    this.#fd = openSync(join(folder, FILE), "a+");
    closeSync(this.#fd);
    this.#fd = openSync(join(folder, FILE), "r+");
  }

  /** The acknowledged number that lies in the folder; 0 when there is none or it cannot be read. */
  static read(folder: string): number {
    try {
      const bytes = readFileSync(join(folder, FILE));
      if (bytes.length < BYTES || crc32(bytes.subarray(4, BYTES)) !== bytes.readUInt32BE(0)) return 0;
      return readU64(bytes, 4);
    } catch {
      return 0;
    }
  }

  /** Batch `number` is durable. */
  acknowledge(number: number): void {
    this.#latest = number;
    if (this.#armed || this.#closed) return;
    this.#armed = true;
    this.#scheduler.after(LAG_MS, () => this.#write());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#writing) this.#finish();
  }

  #write(): void {
    this.#armed = false;
    if (this.#writing || this.#closed || this.#latest === this.#written) return;
    this.#writing = true;
    const written = this.#latest;
    write(this.#fd, encode(written), 0, BYTES, 0, () => {
      this.#writing = false;
      this.#written = written;
      if (this.#closed) this.#finish();
      else if (this.#latest > written) this.acknowledge(this.#latest);
    });
  }

  #finish(): void {
    try {
      if (this.#latest > this.#written) writeSync(this.#fd, encode(this.#latest), 0, BYTES, 0);
    } catch {
      // The witness only makes losses visible; it must not keep a full disk from closing.
    }
    fdatasync(this.#fd, () => closeSync(this.#fd));
  }
}

function encode(number: number): Buffer {
  const bytes = Buffer.alloc(BYTES);
  writeU64(bytes, number, 4);
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}
