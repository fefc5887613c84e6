import type { KvStore, Scheduler, WriteOp } from "../runtime/api.js";
import type { CommitQueue } from "./commit-queue.js";
import { logKey, type KeyRange } from "./keys.js";

const SLICE = 512;
const SLICE_BYTES = 4 * 1024 * 1024;

/** Log entries that are known to be there: their keys need not be read to be deleted. */
export interface EntryRange {
  readonly generation: number;
  /** First index, then the index after the last one. */
  readonly first: number;
  readonly end: number;
}

/**
 * Deletes ranges that nothing refers to any more, a slice at a time, behind everything else. Needs no memory of its
 * own on disk: what a crash leaves over is found again at the next start.
 */
export class Sweeper {
  readonly #kv: KvStore;
  readonly #queue: CommitQueue;
  readonly #scheduler: Scheduler;
  readonly #ranges: (KeyRange | EntryRange)[] = [];
  #running: Promise<void> | null = null;
  #stopped = false;

  constructor(kv: KvStore, queue: CommitQueue, scheduler: Scheduler) {
    this.#kv = kv;
    this.#queue = queue;
    this.#scheduler = scheduler;
  }

  /** Deletes the keys of `range` some time. */
  sweep(range: KeyRange | EntryRange): void {
    if (this.#stopped) return;
    this.#ranges.push(range);
    this.#running ??= this.#run();
  }

  /** Resolves when everything given so far is deleted. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  /** Ends after the slice under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#ranges.length = 0;
    await this.idle();
  }

  async #run(): Promise<void> {
    try {
      for (let range = this.#ranges[0]; range !== undefined; range = this.#ranges[0]) {
        const rest = "from" in range ? await this.#slice(range) : await this.#entries(range);
        if (rest === null) this.#ranges.shift();
        else this.#ranges[0] = rest;
        await new Promise<void>((resolve) => this.#scheduler.soon(resolve));
      }
    } catch {
      // A failed write has latched the store and stops the node; a failed read will be met by whoever needs the data.
      this.#ranges.length = 0;
    } finally {
      this.#running = null;
    }
  }

  /** Deletes one slice of known entries; answers what is left of the range, null at its end. */
  async #entries(range: EntryRange): Promise<EntryRange | null> {
    const end = Math.min(range.end, range.first + SLICE);
    if (this.#stopped || end <= range.first) return null;
    const ops: WriteOp[] = [];
    for (let index = range.first; index < end; index++)
      ops.push({ type: "del", key: logKey(range.generation, index) });
    await this.#queue.write(ops, false);
    return { ...range, first: end };
  }

  /** The same for a range of which only the bounds are known. */
  async #slice(range: KeyRange): Promise<KeyRange | null> {
    const view = this.#kv.iterate(range.from, range.to);
    try {
      const pairs = await view.next(SLICE, SLICE_BYTES);
      if (pairs.length === 0 || this.#stopped) return null;
      const ops: WriteOp[] = pairs.map(([key]) => ({ type: "del", key }));
      await this.#queue.write(ops, false);
      return range;
    } finally {
      await view.close();
    }
  }
}
