import { broken, COMMIT_WITHIN_LOG } from "../invariant.js";
import { mutant } from "../mutants.js";
import { NO_LIMIT } from "../options.js";
import { type Entry, EntryKind, type Index, type SnapshotMeta, type Term } from "../types.js";
import { entryBytes } from "./size.js";

/** Prefixes shorter than this are not worth moving the rest of the array for. */
const COMPACT_SLACK = 1024;

/**
 * The log from the compaction boundary to its end, all of it in memory, with the boundaries that matter:
 *
 *   base  <=  applied <= applying <= committed <= last        base <= durable <= handed <= last
 *
 * `handed` ends what has been given to the disk, `durable` what the disk has confirmed. They move back when a suffix is
 * replaced. A pending snapshot stands for everything up to `base` until it is installed.
 */
export class RaftLog {
  /** Slots below `head` are dead; entry `base + 1` is at `head`. */
  private slots: Entry[];
  private head = 0;
  base: Index;
  baseTerm: Term;
  committed: Index;
  /** Handed out for application. */
  applying: Index;
  applied: Index;
  durable: Index;
  handed: Index;
  /** A snapshot that replaced the log and is not installed yet. */
  snapshot: SnapshotMeta | null = null;
  snapshotHanded = false;
  /** Index of the last entry, kept because it is asked for with every message. */
  last: Index;
  private applyingBytes = 0;
  private applyingPaused = false;

  constructor(
    base: Index,
    baseTerm: Term,
    entries: readonly Entry[],
    private readonly applyingBytesMax: number,
  ) {
    this.base = base;
    this.baseTerm = baseTerm;
    this.slots = entries.slice();
    this.last = base + entries.length;
    this.committed = base;
    this.applying = base;
    this.applied = base;
    this.durable = this.last;
    this.handed = this.last;
    this.checkShape(entries);
  }

  private checkShape(entries: readonly Entry[]): void {
    let term = this.baseTerm;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      if (entry.index !== this.base + 1 + i)
        broken("durable log is contiguous", entry.index, this.base + 1 + i);
      if (entry.term < term) broken("terms never fall along the log", entry.term, term);
      term = entry.term;
    }
  }

  get first(): Index {
    return this.base + 1;
  }

  /** The entry at an index that is known to be held. */
  at(index: Index): Entry {
    const entry = this.slots[this.head + index - this.base - 1];
    if (entry === undefined || index <= this.base) return broken("log index within bounds", index, this.last);
    return entry;
  }

  /** Term at `index`, or -1 when it is compacted or not there yet. */
  term(index: Index): Term {
    if (index === this.base) return this.baseTerm;
    if (index < this.base || index > this.last) return -1;
    return (this.slots[this.head + index - this.base - 1] as Entry).term;
  }

  get lastTerm(): Term {
    return this.term(this.last);
  }

  matches(index: Index, term: Term): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends with (index, term) holds all that a quorum could have committed here. */
  isUpToDate(index: Index, term: Term): boolean {
    const own = this.lastTerm;
    return term > own || (term === own && index >= this.last);
  }

  /** Entries from `from` up to and with `to`, at least one, and beyond that at most `bytesMax`. */
  slice(from: Index, to: Index, bytesMax: number): Entry[] {
    if (from > to) return [];
    if (from <= this.base || to > this.last) broken("log slice within bounds", from, to);
    const start = this.head + from - this.base - 1;
    let end = start + (to - from) + 1;
    if (bytesMax < NO_LIMIT) end = this.limit(start, end, bytesMax);
    return this.slots.slice(start, end);
  }

  private limit(start: number, end: number, bytesMax: number): number {
    let sum = 0;
    for (let i = start; i < end; i++) {
      sum += entryBytes(this.slots[i] as Entry);
      if (sum > bytesMax && i > start) return i;
    }
    return end;
  }

  /** Appends the leader's own new entries. */
  append(entries: readonly Entry[]): void {
    for (let i = 0; i < entries.length; i++) this.slots.push(entries[i] as Entry);
    this.last += entries.length;
  }

  /**
   * Takes over a leader's entries after (prevIndex, prevTerm), which must match. Cuts only at the first index whose term
   * really differs: a delayed append that overlaps must never remove what was acknowledged since (lesson L9).
   */
  accept(prevIndex: Index, entries: readonly Entry[]): void {
    const count = entries.length;
    let from = 0;
    if (mutant.truncateAtPrev) {
      if (prevIndex >= this.committed) this.truncateAfter(prevIndex);
    }
    while (from < count && this.term(prevIndex + 1 + from) === (entries[from] as Entry).term) from++;
    if (from === count) return;
    const conflict = prevIndex + 1 + from;
    if (conflict <= this.committed) {
      broken("conflict only above the commit index", conflict, this.committed);
    }
    if (conflict <= this.last) this.truncateAfter(conflict - 1);
    for (let i = from; i < count; i++) this.slots.push(entries[i] as Entry);
    this.last = prevIndex + count;
  }

  /** For a mutant: what a follower must never do to its log. */
  drop(): void {
    this.truncateAfter(this.base);
  }

  private truncateAfter(index: Index): void {
    if (index < this.base) broken("truncation stays above the compaction boundary", index, this.base);
    this.slots.length = this.head + index - this.base;
    this.last = index;
    if (this.handed > index) this.handed = index;
    if (this.durable > index) this.durable = index;
  }

  /**
   * Largest index at or below `index` at which a log that has `term` at the place in question could still agree with this
   * one. Skips a whole term at a time (lesson L19).
   */
  conflictHint(index: Index, term: Term): Index {
    let hint = index;
    while (hint > 0) {
      const own = this.term(hint);
      if (own === -1 || own <= term) return hint;
      hint--;
    }
    return 0;
  }

  commitTo(index: Index): void {
    if (index <= this.committed) return;
    if (index > this.last) broken(COMMIT_WITHIN_LOG, index, this.last);
    this.committed = index;
  }

  /** Confirms durability, for as long as the entry at `index` is still the one that was written. */
  durableTo(index: Index, term: Term): void {
    if (index <= this.durable || index > this.last || this.term(index) !== term) return;
    this.durable = index;
    if (this.handed < index) this.handed = index;
  }

  get hasUnhanded(): boolean {
    return this.handed < this.last;
  }

  /** Hands the entries that the disk has not been given yet. */
  takeUnhanded(): Entry[] {
    const entries = this.slice(this.handed + 1, this.last, NO_LIMIT);
    this.handed = this.last;
    return entries;
  }

  private appliableEnd(allowUndurable: boolean): Index {
    if (allowUndurable || mutant.applyBeforeDurable) return this.committed;
    return this.committed < this.durable ? this.committed : this.durable;
  }

  hasCommitted(allowUndurable: boolean): boolean {
    if (this.applyingPaused) return false;
    // What is to be applied first would be unclear while a snapshot waits to be installed.
    if (this.snapshot !== null && !mutant.snapshotNotWaited) return false;
    return this.applying < this.appliableEnd(allowUndurable);
  }

  /** Next range for the state machine, bounded together with all ranges that it has not confirmed yet. */
  takeCommitted(allowUndurable: boolean): Entry[] {
    if (!this.hasCommitted(allowUndurable)) return [];
    if (this.snapshot !== null)
      broken("nothing is handed out above a snapshot to be installed", this.applying, this.base);
    const end = this.appliableEnd(allowUndurable);
    const from = Math.max(this.applying, this.base) + 1;
    const entries = this.slice(from, end, this.applyingBytesMax - this.applyingBytes);
    for (let i = 0; i < entries.length; i++) this.applyingBytes += entryBytes(entries[i] as Entry);
    this.applying = from + entries.length - 1;
    this.applyingPaused = this.applyingBytes >= this.applyingBytesMax || this.applying < end;
    return entries;
  }

  appliedTo(index: Index): void {
    if (index < this.applied || index > this.committed) {
      broken(
        "applied index between the last applied and commit",
        index,
        index < this.applied ? this.applied : this.committed,
      );
    }
    for (let i = Math.max(this.applied, this.base) + 1; i <= index; i++) {
      this.applyingBytes -= entryBytes(this.slots[this.head + i - this.base - 1] as Entry);
    }
    this.applied = index;
    if (this.applying <= index) {
      this.applying = index;
      this.applyingBytes = 0;
    }
    this.applyingPaused = this.applyingBytes >= this.applyingBytesMax;
  }

  /** Whether a committed configuration change waits to be applied (lesson L32). */
  hasUnappliedConfChange(): boolean {
    for (let i = Math.max(this.applied, this.base) + 1; i <= this.committed; i++) {
      if (this.at(i).kind !== EntryKind.Normal) return true;
    }
    return false;
  }

  /** Whether a configuration change lies above `index`, committed or not (raft.md 2.13, 14). */
  hasConfChangeAbove(index: Index): boolean {
    for (let i = Math.max(index, this.base) + 1; i <= this.last; i++) {
      if (this.at(i).kind !== EntryKind.Normal) return true;
    }
    return false;
  }

  /** Replaces everything by a snapshot that is still to be installed. */
  restore(meta: SnapshotMeta): void {
    if (meta.index <= this.committed)
      broken("an installed snapshot is ahead of commit", meta.index, this.committed);
    this.slots = [];
    this.head = 0;
    this.base = meta.index;
    this.baseTerm = meta.term;
    this.last = meta.index;
    this.durable = meta.index;
    this.handed = meta.index;
    this.committed = meta.index;
    this.snapshot = meta;
    this.snapshotHanded = false;
  }

  /** The snapshot is installed: its state is the applied one. */
  snapshotInstalled(index: Index): void {
    if (this.snapshot === null || this.snapshot.index !== index) return;
    this.snapshot = null;
    this.snapshotHanded = false;
  }

  /** After an installed snapshot: everything below it counts as applied. */
  appliedBySnapshot(index: Index): void {
    if (index <= this.applied) return;
    this.applied = index;
    if (this.applying < index) this.applying = index;
    this.applyingBytes = 0;
    for (let i = index + 1; i <= this.applying; i++) this.applyingBytes += entryBytes(this.at(i));
    this.applyingPaused = this.applyingBytes >= this.applyingBytesMax;
  }

  /** Forgets the log up to `index`. */
  compactTo(index: Index): void {
    if (index <= this.base) return;
    if (index > this.applied) broken("compaction stays at or below the applied index", index, this.applied);
    this.baseTerm = this.at(index).term;
    this.head += index - this.base;
    this.base = index;
    if (this.head >= COMPACT_SLACK && this.head * 2 >= this.slots.length) {
      this.slots = this.slots.slice(this.head);
      this.head = 0;
    }
  }

  /** For exploration and tests: an independent copy that shares the immutable entries. */
  clone(): RaftLog {
    const copy = new RaftLog(this.base, this.baseTerm, this.slots.slice(this.head), this.applyingBytesMax);
    copy.committed = this.committed;
    copy.applying = this.applying;
    copy.applied = this.applied;
    copy.durable = this.durable;
    copy.handed = this.handed;
    copy.snapshot = this.snapshot;
    copy.snapshotHanded = this.snapshotHanded;
    copy.applyingBytes = this.applyingBytes;
    copy.applyingPaused = this.applyingPaused;
    return copy;
  }
}
