import {
  Entry,
  type PersistBatch,
  type SnapshotMeta,
  type HardState,
  type DurableState,
} from "../../raft/index.js";
import type { DiskView } from "../checkers/index.js";
import type { Prng } from "../sim/prng.js";
import type { Simulation } from "../sim/simulation.js";
import type { RegisterState } from "./register-state.js";
import { diskMutant } from "./mutants.js";

/** How a disk misbehaves. */
export interface DiskFaults {
  readonly syncMeanUs: number;
  /** Rare long syncs. */
  readonly stallRate: number;
  readonly stallMaxUs: number;
  /** Chance that a sync fails: the member stops. */
  readonly syncErrorRate: number;
  /** The end of a sync is noticed up to this much later than it happened. */
  readonly noticeMaxUs: number;
  /** Chance that a crash leaves the first lost write half written. */
  readonly tornWriteRate: number;
}

/** A disk that is fast and never fails. */
export const SOUND_DISK: DiskFaults = {
  syncMeanUs: 300,
  stallRate: 0,
  stallMaxUs: 0,
  syncErrorRate: 0,
  noticeMaxUs: 0,
  tornWriteRate: 0,
};

/** Batches that a full disk still takes: the space that the storage keeps in reserve. */
const RESERVED_BATCHES = 40;

type Write =
  | { readonly kind: "batch"; readonly batch: PersistBatch; readonly installed: RegisterState | null }
  | { readonly kind: "state"; readonly state: RegisterState }
  | { readonly kind: "compact"; readonly index: number };

interface Queued {
  readonly write: Write;
  readonly sync: boolean;
  readonly done: ((ok: boolean) => void) | null;
}

/**
 * A member's disk as its storage presents it: one write-ahead log, so writes become durable in the order in which they
 * were issued, some only because a later one was synced. A crash loses the unsynced tail from a random point on: whole
 * writes, because the storage's checksums drop a torn one.
 */
export class CoreDisk implements DiskView {
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  snapshotIndex: number;
  snapshotTerm: number;
  /** The terms of all entries that were durable behind the snapshot, by index. */
  private readonly held = new Map<number, number[]>();
  logWrittenInTerm = 0;
  private entries: Entry[] = [];
  private queue: Queued[] = [];
  private syncing = false;
  private life = 0;
  /** Completions are noticed in order. */
  private noticedUs = 0;
  hungUntilUs = 0;
  /** No space for entries until then, but for what is kept in reserve. */
  fullUntilUs = 0;
  private reserveLeft = RESERVED_BATCHES;
  /** Blocks that no longer are what was written. Their checksums tell. */
  private rottenEntry: Entry | null = null;
  private rottenState: RegisterState | null = null;
  private torn = false;
  /** For a mutant: entries that were replaced. */
  private ghosts: Entry[] = [];
  faults: DiskFaults = SOUND_DISK;

  constructor(
    private readonly sim: Simulation,
    private readonly prng: Prng,
    /** The state on disk. */
    public state: RegisterState,
  ) {
    this.snapshotIndex = state.index;
    this.snapshotTerm = state.term;
  }

  get term(): number {
    return this.hardState.term;
  }

  get vote(): number {
    return this.hardState.vote;
  }

  get lastIndex(): number {
    return this.snapshotIndex + this.entries.length;
  }

  everHeld(index: number, term: number): boolean {
    return index <= this.snapshotIndex || (this.held.get(index)?.includes(term) ?? false);
  }

  termAt(index: number): number {
    if (index === this.snapshotIndex) return this.snapshotTerm;
    return this.entries[index - this.snapshotIndex - 1]?.term ?? -1;
  }

  get backlog(): number {
    return this.queue.length;
  }

  get isFull(): boolean {
    return this.fullUntilUs > this.sim.nowUs;
  }

  get reserveIsGone(): boolean {
    return this.isFull && this.reserveLeft <= 0;
  }

  /** What a checksum would object to if everything was read now; null when all is as it was written. */
  get rot(): string | null {
    if (this.rottenEntry !== null && this.entries.includes(this.rottenEntry)) return "log entry";
    if (this.rottenState !== null && this.state === this.rottenState) return "state";
    return null;
  }

  /**
   * A bit of what is stored changes. Never in the last record of the log: that could not be told from a torn write, so no
   * storage can promise to notice it.
   */
  decay(): void {
    if (this.entries.length >= 2 && this.prng.chance(0.7)) {
      const at = this.prng.below(this.entries.length - 1);
      const { term, index, kind, data } = this.entries[at] as Entry;
      this.rottenEntry = new Entry(term, index, kind, flipped(data, this.prng));
      this.entries[at] = this.rottenEntry;
      this.sim.tally.fault("bit rot in a log entry");
    } else {
      const registers = this.state.registers.slice();
      registers[this.prng.below(registers.length)] = this.prng.below(1 << 30);
      this.rottenState = { ...this.state, registers, digest: this.state.digest ^ 1 };
      this.state = this.rottenState;
      this.sim.tally.fault("bit rot in the state");
    }
  }

  /**
   * Recovery: cuts a torn last record, which was never acknowledged. Answers what is damaged otherwise: nobody can say
   * what a rotten record in the middle held, so cutting there could take back an acknowledgement (lesson L22).
   */
  recover(): string | null {
    if (this.torn) {
      this.torn = false;
      this.sim.tally.situation("torn tail cut at start");
    }
    const { rot } = this;
    if (rot === "log entry" && diskMutant.rotCutAsTorn) {
      this.entries.length = this.entries.indexOf(this.rottenEntry as Entry);
      return null;
    }
    if (diskMutant.truncationForgotten) {
      for (const ghost of this.ghosts) if (ghost.index === this.lastIndex + 1) this.entries.push(ghost);
    }
    return diskMutant.rotServed ? null : rot;
  }

  /** What a member that starts now reads. */
  durable(): DurableState {
    return {
      hardState: this.hardState,
      confState: this.state.confState,
      confIndex: this.state.confIndex,
      snapshotIndex: this.snapshotIndex,
      snapshotTerm: this.snapshotTerm,
      entries: this.entries.slice(),
      appliedIndex: this.state.index,
    };
  }

  /** A batch of the core; `done(true)` once it is durable, `done(false)` when the disk failed for good. */
  writeBatch(batch: PersistBatch, installed: RegisterState | null, done: (ok: boolean) => void): void {
    if (!this.isFull) this.reserveLeft = RESERVED_BATCHES;
    else if (batch.entries.length > 0 && this.reserveLeft-- <= 0) {
      this.sim.tally.fault("write failed on a full disk");
      const { life } = this;
      this.sim.after(1, () => life === this.life && done(false));
      return;
    }
    this.enqueue({ write: { kind: "batch", batch, installed }, sync: batch.mustSync, done });
  }

  /** The applied state, not synced: a later sync covers it. */
  writeState(state: RegisterState): void {
    this.enqueue({ write: { kind: "state", state }, sync: false, done: null });
  }

  /** Forgets the log up to `index`, not synced. */
  writeCompaction(index: number): void {
    this.enqueue({ write: { kind: "compact", index }, sync: false, done: null });
  }

  private enqueue(queued: Queued): void {
    this.queue.push(queued);
    this.pump();
  }

  /** One sync at a time; while it runs, the next group collects. */
  private pump(): void {
    if (this.syncing) return;
    this.settleUnsynced();
    let count = 0;
    for (let i = 0; i < this.queue.length; i++) if ((this.queue[i] as Queued).sync) count = i + 1;
    if (count === 0) return;
    this.syncing = true;
    const { life } = this;
    this.sim.after(this.syncDelay(), () => {
      if (life !== this.life) return;
      this.finishSync(count);
    });
  }

  private syncDelay(): number {
    const { faults, prng } = this;
    let delay = prng.exponential(faults.syncMeanUs) + 20;
    if (faults.stallRate > 0 && prng.chance(faults.stallRate)) {
      delay += prng.below(faults.stallMaxUs);
      this.sim.tally.fault("slow sync");
    }
    const hung = this.hungUntilUs - this.sim.nowUs;
    return hung > 0 ? hung + delay : delay;
  }

  /** A batch that asks for no sync counts as durable as soon as all batches before it are; its write stays queued. */
  private settleUnsynced(): void {
    for (let i = 0; i < this.queue.length; i++) {
      const queued = this.queue[i] as Queued;
      if (queued.sync) return;
      if (queued.done === null) continue;
      this.queue[i] = { write: queued.write, sync: false, done: null };
      this.notice([queued.done], 1);
    }
  }

  /** The process learns that writes are done: at once or some time after, and always in order. */
  private notice(dones: readonly ((ok: boolean) => void)[], afterUs: number): void {
    const { noticeMaxUs } = this.faults;
    const { nowUs } = this.sim;
    const lateUs = afterUs + (noticeMaxUs > 0 ? this.prng.below(noticeMaxUs) : 0);
    if (lateUs === 0 && this.noticedUs <= nowUs) {
      for (const done of dones) this.callback(done)();
      return;
    }
    this.noticedUs = Math.max(this.noticedUs, nowUs + lateUs);
    for (const done of dones) this.sim.at(this.noticedUs, this.callback(done));
  }

  private callback(done: (ok: boolean) => void): () => void {
    const { life } = this;
    return () => {
      if (life === this.life) done(true);
    };
  }

  private finishSync(count: number): void {
    const { faults } = this;
    this.syncing = false;
    if (faults.syncErrorRate > 0 && this.prng.chance(faults.syncErrorRate)) {
      this.sim.tally.fault("sync error");
      if (diskMutant.syncErrorIgnored) {
        this.notice(donesOf(this.queue.splice(0, count)), 0);
        this.pump();
        return;
      }
      this.queue.find(({ done }) => done !== null)?.done?.(false);
      return;
    }
    const group = this.queue.splice(0, count);
    for (const { write } of group) this.perform(write);
    this.notice(donesOf(group), 0);
    this.pump();
  }

  private perform(write: Write): void {
    switch (write.kind) {
      case "state":
        if (write.state.index > this.state.index) this.state = write.state;
        return;
      case "compact":
        this.compact(write.index);
        return;
      case "batch": {
        const { batch } = write;
        if (batch.hardState !== null) this.hardState = batch.hardState;
        if (batch.snapshot !== null) this.install(batch.snapshot, write.installed);
        if (batch.entries.length > 0) this.append(batch.entries);
        if (batch.snapshot !== null || batch.entries.length > 0) this.logWrittenInTerm = this.term;
        return;
      }
      default:
        write satisfies never;
    }
  }

  private install(meta: SnapshotMeta, state: RegisterState | null): void {
    if (state === null) throw new Error(`snapshot ${meta.index} is to be installed, but its data never came`);
    this.snapshotIndex = meta.index;
    this.snapshotTerm = meta.term;
    this.entries = [];
    this.forgetHeld();
    this.state = state;
  }

  private append(entries: readonly Entry[]): void {
    const first = (entries[0] as Entry).index;
    const keep = first - this.snapshotIndex - 1;
    if (keep < 0 || keep > this.entries.length) {
      throw new Error(
        `entries from ${first} do not join the log on disk, ${this.snapshotIndex + 1}..${this.lastIndex}`,
      );
    }
    if (keep < this.entries.length) {
      this.sim.tally.situation("log suffix replaced on disk");
      this.ghosts = this.entries.slice(keep);
    }
    const before = diskMutant.suffixMixed ? this.entries.slice(keep) : [];
    this.entries.length = keep;
    for (const entry of entries) this.hold(before[this.entries.length - keep] ?? entry);
  }

  private hold(entry: Entry): void {
    this.entries.push(entry);
    const terms = this.held.get(entry.index);
    if (terms === undefined) this.held.set(entry.index, [entry.term]);
    else if (!terms.includes(entry.term)) terms.push(entry.term);
  }

  private forgetHeld(): void {
    for (const index of this.held.keys()) if (index <= this.snapshotIndex) this.held.delete(index);
  }

  private compact(index: number): void {
    if (index <= this.snapshotIndex) return;
    const term = this.termAt(index);
    if (term < 0) throw new Error(`compaction to ${index}, but the log on disk ends at ${this.lastIndex}`);
    this.entries.splice(0, index - this.snapshotIndex);
    this.snapshotIndex = index;
    this.snapshotTerm = term;
    this.forgetHeld();
  }

  /** Power is gone: of what is not synced, a random number of whole writes made it, in order. */
  crash(keepAll: boolean): void {
    this.life++;
    this.syncing = false;
    this.hungUntilUs = 0;
    this.noticedUs = 0;
    const kept = keepAll ? this.queue.length : this.prng.below(this.queue.length + 1);
    const lost = this.queue.length - kept;
    if (lost > 0) {
      this.sim.tally.fault("unsynced write lost", lost);
      if (kept > 0) this.sim.tally.situation("crash kept a part of the unsynced writes");
    }
    for (let i = 0; i < kept; i++) this.perform((this.queue[i] as Queued).write);
    if (lost > 0) this.tear((this.queue[kept] as Queued).write);
    if (diskMutant.appliedApart) this.keepAppliedIndex(this.queue.slice(kept));
    this.queue = [];
  }

  /** The first write that was lost may have reached the disk in part. */
  private tear(write: Write): void {
    const { tornWriteRate } = this.faults;
    if (tornWriteRate === 0 || !this.prng.chance(tornWriteRate)) return;
    this.sim.tally.fault("torn write");
    this.torn = true;
    if (!diskMutant.tornTailServed || write.kind !== "batch" || write.batch.entries.length === 0) return;
    const entries = write.batch.entries.slice();
    const { term, index, kind, data } = entries.pop() as Entry;
    entries.push(new Entry(term, index, kind, flipped(data, this.prng)));
    this.perform({ ...write, batch: { ...write.batch, entries } });
  }

  /** For a mutant: of what was to be written after an apply, the index alone made it. */
  private keepAppliedIndex(lost: readonly Queued[]): void {
    for (const { write } of lost) {
      if (write.kind !== "state" || write.state.index <= this.state.index) continue;
      if (write.state.index > this.lastIndex) return;
      this.state = { ...this.state, index: write.state.index, term: write.state.term };
    }
  }

  /** The operator takes everything off the disk but the term and the vote, which no member may ever forget. */
  empty(state: RegisterState): void {
    this.crash(false);
    const { term, vote } = this.hardState;
    this.hardState = { term, vote, commit: 0 };
    this.entries = [];
    this.ghosts = [];
    this.torn = false;
    this.state = state;
    this.snapshotIndex = state.index;
    this.snapshotTerm = state.term;
    this.held.clear();
    this.logWrittenInTerm = 0;
  }
}

/** The data with one bit changed; data where there was none. */
function flipped(data: Uint8Array, prng: Prng): Uint8Array {
  if (data.length === 0) return new Uint8Array(1);
  const copy = data.slice();
  const at = prng.below(copy.length);
  copy[at] = (copy[at] as number) ^ (1 << prng.below(8));
  return copy;
}

function donesOf(group: readonly Queued[]): ((ok: boolean) => void)[] {
  const dones: ((ok: boolean) => void)[] = [];
  for (const { done } of group) if (done !== null) dones.push(done);
  return dones;
}
