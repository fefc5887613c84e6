import type { Entry, HardState, SnapshotMeta } from "../../src/raft/index.js";
import { describeEntries } from "../../src/raft/index.js";

/** One state of the appending state machine that the files use. */
export interface HistoryItem {
  readonly meta: SnapshotMeta;
  readonly data: string;
}

/** What a member of the test files has stored. */
export class OracleDisk {
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  private snapshotIndex = 0;
  private base = 0;
  private entries: Entry[] = [];

  get firstIndex(): number {
    return this.base + 1;
  }

  get lastIndex(): number {
    return this.base + this.entries.length;
  }

  applySnapshot(meta: SnapshotMeta): string | null {
    if (this.snapshotIndex >= meta.index) return "requested index is older than the existing snapshot";
    this.snapshotIndex = meta.index;
    this.base = meta.index;
    this.entries = [];
    return null;
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.index <= this.base) continue;
      this.entries.length = entry.index - this.base - 1;
      this.entries.push(entry);
    }
  }

  compact(index: number): string | null {
    if (index <= this.base) return "requested index is unavailable due to compaction";
    if (index > this.lastIndex)
      throw new RangeError(`compact ${index} is out of bound lastindex(${this.lastIndex})`);
    this.entries.splice(0, index - this.base);
    this.base = index;
    return null;
  }

  describe(): string {
    if (this.lastIndex < this.firstIndex) {
      return `log is empty: first index=${this.firstIndex}, last index=${this.lastIndex}`;
    }
    return describeEntries(this.entries);
  }
}
