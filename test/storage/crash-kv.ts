import type { KvIterator, KvStore, WriteOp } from "../../src/runtime/api.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";

interface Batch {
  readonly ops: readonly WriteOp[];
  readonly sync: boolean;
}

/**
 * A store in memory that remembers every batch, so that a test can ask what the disk held at any moment of its life.
 * Writes call back a turn later, one batch a turn.
 */
export class CrashKv implements KvStore {
  /** All batches that reached the store, in order. */
  readonly batches: Batch[];
  /** The batch with this number (from 0) and all later ones fail. */
  failAt = Number.POSITIVE_INFINITY;
  /** While true, writes wait. */
  hang = false;
  readonly #data = new Map<string, Uint8Array>();
  readonly #queue: (Batch & { done: (error: Error | null) => void })[] = [];
  readonly #found: number;
  #failed = false;
  #pumping = false;

  constructor(batches: readonly Batch[] = []) {
    this.batches = [...batches];
    this.#found = batches.length;
    for (const batch of batches) this.#apply(batch.ops);
  }

  /** What a crash may leave: the first `count` batches. At least up to the last synced one, to be realistic. */
  after(count: number): CrashKv {
    return new CrashKv(this.batches.slice(0, count));
  }

  /** Number of batches up to and with the last synced one; what was there at the start is durable. */
  get durable(): number {
    for (let i = this.batches.length; i > this.#found; i--) if (this.batches[i - 1]?.sync) return i;
    return this.#found;
  }

  write(
    ops: readonly WriteOp[],
    options: { readonly sync: boolean },
    done: (error: Error | null) => void,
  ): void {
    this.#queue.push({ ops, sync: options.sync, done });
    this.#pump();
  }

  release(): void {
    this.hang = false;
    this.#pump();
  }

  async get(key: Uint8Array): Promise<Uint8Array | null> {
    return this.#data.get(hex(key)) ?? null;
  }

  iterate(from: Uint8Array, to: Uint8Array): KvIterator {
    const [low, high] = [hex(from), hex(to)];
    const keys = [...this.#data.keys()].filter((key) => key >= low && key < high).sort();
    const pairs = keys.map((key) => [Buffer.from(key, "hex"), this.#data.get(key) as Uint8Array] as const);
    let at = 0;
    return {
      next: async (countMax, bytesMax) => {
        const read = [];
        for (let bytes = 0; at < pairs.length && read.length < countMax && bytes < bytesMax; at++) {
          const pair = pairs[at] as (typeof pairs)[0];
          read.push(pair);
          bytes += pair[0].length + pair[1].length;
        }
        return read;
      },
      close: async () => {
        at = pairs.length;
      },
    };
  }

  async close(): Promise<void> {
    while (this.#queue.length > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Flips a bit of a stored value, as a failing disk does. */
  rot(key: Uint8Array, byte = 0): void {
    const value = Buffer.from(this.#data.get(hex(key)) ?? []);
    value[byte] = (value[byte] ?? 0) ^ 1;
    this.#data.set(hex(key), value);
  }

  /** Removes a key behind the back of the storage. */
  lose(key: Uint8Array): void {
    this.#data.delete(hex(key));
  }

  keys(): string[] {
    return [...this.#data.keys()].sort();
  }

  #pump(): void {
    if (this.#pumping || this.hang || this.#queue.length === 0) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      const next = this.hang ? undefined : this.#queue.shift();
      if (next === undefined) return;
      this.#failed ||= this.batches.length >= this.failAt;
      if (!this.#failed) {
        this.batches.push({ ops: next.ops, sync: next.sync });
        this.#apply(next.ops);
      }
      this.#pump();
      next.done(this.#failed ? new HoldfastError(ErrorCode.STORAGE_FAILED, "planted I/O error") : null);
    });
  }

  #apply(ops: readonly WriteOp[]): void {
    for (const op of ops) {
      if (op.type === "put") this.#data.set(hex(op.key), Uint8Array.from(op.value));
      else this.#data.delete(hex(op.key));
    }
  }
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}
