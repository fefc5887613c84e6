import type { Entry, Index } from "../raft/index.js";

/**
 * Committed entries that wait to be applied. Applied in slices, so that a long range never holds the event loop: in
 * between, heartbeats and acknowledgements leave.
 */
export class ApplyQueue {
  private ranges: (readonly Entry[])[] = [];
  private offset = 0;
  /** While a snapshot is loaded, nothing is applied. */
  paused = false;

  push(entries: readonly Entry[]): void {
    if (entries.length > 0) this.ranges.push(entries);
  }

  get isEmpty(): boolean {
    return this.ranges.length === 0;
  }

  /** Entries that wait. */
  get size(): number {
    let size = 0;
    for (const range of this.ranges) size += range.length;
    return size - this.offset;
  }

  /**
   * Applies until `budgetMs` is used up, the entry that uses it up included; answers how many it was. The clock is looked
   * at after each: a member that catches up on a takeover has many long ones in a row.
   */
  run(apply: (entry: Entry) => void, nowMs: () => number, budgetMs: number): number {
    if (this.ranges.length === 0 || this.paused) return 0;
    const endMs = nowMs() + budgetMs;
    let count = 0;
    while (this.ranges.length > 0) {
      const range = this.ranges[0] as readonly Entry[];
      apply(range[this.offset++] as Entry);
      if (this.offset === range.length) {
        this.ranges.shift();
        this.offset = 0;
      }
      count++;
      if (nowMs() >= endMs) break;
    }
    return count;
  }

  /** A snapshot at `index` replaces the state: what it covers need not be applied any more. */
  dropThrough(index: Index): void {
    const kept: Entry[] = [];
    this.ranges.forEach((range, i) => {
      for (let j = i === 0 ? this.offset : 0; j < range.length; j++) {
        const entry = range[j] as Entry;
        if (entry.index > index) kept.push(entry);
      }
    });
    this.ranges = kept.length > 0 ? [kept] : [];
    this.offset = 0;
  }
}
