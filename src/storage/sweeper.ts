import type { KvStore, Scheduler, WriteOp } from "../runtime/api.js";
import type { CommitQueue } from "./commit-queue.js";
import type { KeyRange } from "./keys.js";

const SLICE = 512;
const SLICE_BYTES = 4 * 1024 * 1024;

/**
 * Deletes ranges that nothing refers to any more, a slice at a time, behind everything else. Needs no memory of its
 * own on disk: what a crash leaves over is found again at the next start.
 */
export class Sweeper {
  readonly #kv: KvStore;
  readonly #queue: CommitQueue;
  readonly #scheduler: Scheduler;
  readonly #ranges: KeyRange[] = [];
  #running: Promise<void> | null = null;
  #stopped = false;

  constructor(kv: KvStore, queue: CommitQueue, scheduler: Scheduler) {
    this.#kv = kv;
    this.#queue = queue;
    this.#scheduler = scheduler;
  }

  /** Deletes the keys of `range` some time. */
  sweep(range: KeyRange): void {
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
        const more = await this.#slice(range);
        if (!more) this.#ranges.shift();
        await new Promise<void>((resolve) => this.#scheduler.soon(resolve));
      }
    } catch {
      // A failed write has latched the store and stops the node; a failed read will be met by whoever needs the data.
      this.#ranges.length = 0;
    } finally {
      this.#running = null;
    }
  }

  async #slice(range: KeyRange): Promise<boolean> {
    const view = this.#kv.iterate(range.from, range.to);
    try {
      const pairs = await view.next(SLICE, SLICE_BYTES);
      if (pairs.length === 0 || this.#stopped) return false;
      const ops: WriteOp[] = pairs.map(([key]) => ({ type: "del", key }));
      await this.#queue.write(ops, false);
      return true;
    } finally {
      await view.close();
    }
  }
}
