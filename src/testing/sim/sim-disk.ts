import type { KvStore, Scheduler } from "../../runtime/api.js";
import { EngineStore } from "../../storage/engine-store.js";
import { lostWrites } from "../../storage/errors.js";
import { openError } from "../../storage/rocks-errors.js";
import type { Prng } from "./prng.js";
import { applyBatch, SimEngine, type Written } from "./sim-engine.js";
import { SimSpace } from "./sim-space.js";
import type { Simulation } from "./simulation.js";

/** How a store's disk misbehaves. Times in microseconds. */
export interface KvFaults {
  readonly writeMeanUs: number;
  readonly syncMeanUs: number;
  readonly stallRate: number;
  readonly stallMaxUs: number;
  /** Chance that a sync fails; everything after it fails too. */
  readonly syncErrorRate: number;
  /** Chance that a crash leaves a part of the first batch that it loses. */
  readonly tornWriteRate: number;
}

/** A disk that is quick and never fails. */
export const SOUND_KV: KvFaults = {
  writeMeanUs: 20,
  syncMeanUs: 400,
  stallRate: 0,
  stallMaxUs: 0,
  syncErrorRate: 0,
  tornWriteRate: 0,
};

/** The process that opens a disk, as far as the store on it needs one. */
export interface SimOpener {
  readonly bind: (run: () => void) => () => void;
  readonly scheduler: Scheduler;
  /** What the store does about a write without space; null: it ends with it. */
  readonly makeRoom: (() => Promise<boolean>) | null;
}

/** Batches that are kept apart from the tables: what can happen to the end of a write-ahead log happens to these. */
const LOG_KEPT = 24;
const FOLDER = "of the simulation";
/** Opening writes a new log and a new list of files. */
const OPENING_BYTES = 4_096;
/** The count of acknowledged syncs beside the database lags behind by this much: `SyncWitness`. */
const WITNESS_LAG_US = 25_000;

/**
 * What lies on one node's disk: outlives processes. Tables, and a write-ahead log of whole batches behind them: what was
 * not synced is lost at a power cut from a random batch on, perhaps with a part of that batch left. The store on it is the
 * product's own (`EngineStore`); only the database below is simulated.
 */
export class SimDisk {
  private readonly tables = new Map<string, Uint8Array>();
  private log: Written[] = [];
  /** So many batches of the log survive a power cut. */
  private durable = 0;
  /** Number of the last synced batch in the tables. */
  private synced = 0;
  /** The batch of the log that cannot be read any more; reading ends there. */
  private rottenBatch: Written | null = null;
  private rottenRecord: { readonly key: string; readonly value: Uint8Array } | null = null;
  private torn = false;
  private witness = { written: 0, atOpening: 0, latest: 0, dueUs: 0 };
  faults: KvFaults = SOUND_KV;
  hungUntilUs = 0;
  readonly space = new SimSpace();
  /** When a record that is not what was written was read, since the last opening; zero: it was not. */
  rotReadUs = 0;
  private failNext = false;
  private engine: SimEngine | null = null;

  constructor(
    readonly sim: Simulation,
    readonly prng: Prng,
  ) {}

  /**
   * Opens the store; the one that was open before is dead. What it shows is durable: opening writes out what it found.
   * Throws what an `openDatabase` would reject with.
   */
  store(opener: Partial<SimOpener> = {}): KvStore {
    const bind = opener.bind ?? ((run: () => void) => run);
    this.settleWitness();
    this.witness.atOpening = this.witness.written;
    const engine = this.openEngine(bind, this.witness.written);
    return new EngineStore(engine, {
      reopen: (acknowledged) => {
        this.sim.tally.situation("database opened anew on a full disk");
        return new Promise((resolve) => resolve(this.openEngine(bind, acknowledged)));
      },
      makeRoom: opener.makeRoom ?? null,
      scheduler: opener.scheduler ?? this.scheduler(),
      witness: { acknowledge: (number) => this.acknowledge(number), close: () => undefined },
    });
  }

  private scheduler(): Scheduler {
    const { sim } = this;
    const after = (delayMs: number, run: () => void) => {
      const event = sim.after(delayMs * 1_000, run);
      return { cancel: () => event.cancel() };
    };
    return { after, soon: (run) => void sim.after(1, run) };
  }

  private openEngine(bind: SimOpener["bind"], acknowledged: number): SimEngine {
    this.engine?.die();
    if (!this.space.take(OPENING_BYTES))
      throw openError(FOLDER, new Error("IO error: No space left on device: While opening a file"));
    this.space.take(-OPENING_BYTES);
    this.recoverLog();
    for (const { batch, syncNumber } of this.log) {
      applyBatch(this.tables, batch);
      if (syncNumber > 0) this.synced = syncNumber;
    }
    this.log = [];
    this.durable = 0;
    const lost = lostWrites(FOLDER, acknowledged, this.synced);
    if (lost !== null) {
      this.sim.tally.situation("start refused: acknowledged writes lost");
      throw lost;
    }
    this.rotReadUs = 0;
    this.engine = new SimEngine(this, new Map(this.tables), this.synced, bind);
    return this.engine;
  }

  /** Reads the log as RocksDB does: up to the first batch that is not what was written, without a word about it. */
  private recoverLog(): void {
    if (this.torn) this.sim.tally.situation("torn tail cut at start");
    this.torn = false;
    const at = this.rottenBatch === null ? -1 : this.log.indexOf(this.rottenBatch);
    this.rottenBatch = null;
    if (at < 0) return;
    this.sim.tally.situation("log read up to a damaged batch");
    this.log.length = at;
  }

  /** The process is gone. With the power gone too, only a prefix of the unsynced batches is left. */
  crash(powerLost: boolean): void {
    const underWay = this.engine?.die() ?? null;
    this.engine = null;
    this.hungUntilUs = 0;
    this.settleWitness();
    // What was handed over and not yet answered may have arrived or not.
    const arrives = this.prng.below(underWay === null ? 1 : 2) === 1;
    if (underWay !== null && arrives) this.log.push(underWay);
    let lost = underWay !== null && !arrives ? 1 : 0;
    if (powerLost) lost += this.losePower();
    const { tornWriteRate } = this.faults;
    if (lost === 0 || tornWriteRate === 0 || !this.prng.chance(tornWriteRate)) return;
    this.sim.tally.fault("torn write");
    this.torn = true;
  }

  /** Answers how many batches are lost. */
  private losePower(): number {
    this.witness.written = this.witness.atOpening;
    const unsynced = this.log.length - this.durable;
    const kept = this.prng.below(unsynced + 1);
    const lost = unsynced - kept;
    if (lost > 0) this.sim.tally.fault("unsynced batch lost", lost);
    if (lost > 0 && kept > 0) this.sim.tally.situation("power cut kept a part of the unsynced batches");
    this.log.length = this.durable + kept;
    return lost;
  }

  /** A batch is in the log; with a number it, and all before it, are durable. */
  wrote(written: Written): void {
    this.log.push(written);
    if (written.syncNumber > 0) this.durable = this.log.length;
    while (this.log.length > LOG_KEPT && this.durable > 0) this.flushOldest();
  }

  /** Tables are written from memory: what was damaged in the log is whole in them. */
  private flushOldest(): void {
    const { batch, syncNumber } = this.log.shift() as Written;
    this.durable--;
    applyBatch(this.tables, batch);
    if (syncNumber > 0) this.synced = syncNumber;
  }

  /** A batch did not fit: it is on the disk in part, or all of it and the error came after. Answers the error. */
  withoutSpace(written: Written): Error {
    const { tally } = this.sim;
    tally.fault("write on a full disk");
    if (this.prng.chance(0.3)) this.log.push(written);
    else this.torn = true;
    if (written.syncNumber > 0 && this.prng.chance(0.1)) {
      tally.fault("sync without space");
      return new Error("IO error: No space left on device: While fdatasync: simulated log");
    }
    return new Error("IO error: No space left on device: While appending to file: simulated log");
  }

  private acknowledge(number: number): void {
    const { witness } = this;
    this.settleWitness();
    witness.latest = number;
    if (witness.dueUs === 0) witness.dueUs = this.sim.nowUs + WITNESS_LAG_US;
  }

  private settleWitness(): void {
    const { witness } = this;
    if (witness.dueUs === 0 || witness.dueUs > this.sim.nowUs) return;
    witness.dueUs = 0;
    witness.written = witness.latest;
  }

  /** Whether something is stored that is not what was written. */
  get damaged(): boolean {
    if (this.rottenBatch !== null && this.log.includes(this.rottenBatch)) return true;
    const { rottenRecord: record } = this;
    if (record === null) return false;
    const shown = this.engine === null ? this.tables.get(record.key) : this.engine.shows(record.key);
    return shown === record.value;
  }

  /**
   * A bit of a record in a table changes. `choose` picks among the keys that nothing was written over since; answers the
   * key, null when there is none.
   */
  flipBit(choose: (keys: readonly string[]) => string): string | null {
    const { engine, tables, prng } = this;
    const keys = [...tables.keys()].filter((key) => {
      const value = tables.get(key) as Uint8Array;
      return value.length > 0 && (engine === null || engine.shows(key) === value);
    });
    if (keys.length === 0) return null;
    const key = choose(keys);
    const before = tables.get(key) as Uint8Array;
    const after = Uint8Array.from(before);
    const at = prng.below(after.length);
    after[at] = (after[at] as number) ^ (1 << prng.below(8));
    tables.set(key, after);
    engine?.changed(key, before, after);
    this.rottenRecord = { key, value: after };
    return key;
  }

  /**
   * A bit of the log changes, in a synced batch or before one, so that acknowledged writes are lost; false when there is
   * none. The process has to be gone, and the witness of that batch to be on the disk: nobody could tell otherwise.
   */
  rotLog(): boolean {
    const { written } = this.witness;
    const last = this.log.findLastIndex(({ syncNumber }) => syncNumber > 0 && syncNumber <= written);
    if (last < 0 || this.engine !== null) return false;
    this.rottenBatch = this.log[this.prng.below(last + 1)] as Written;
    return true;
  }

  /** Whether a record survives whatever happens to the process and its power. Keys in hexadecimal. */
  holds(key: string): boolean {
    let held = this.tables.has(key);
    for (const { batch } of this.log.slice(0, this.durable))
      for (const op of batch) if (op.key === key) held = op.value !== null;
    return held;
  }

  /** Another disk in its place, or everything taken off this one. The process has to be gone. */
  wipe(): void {
    this.tables.clear();
    this.log = [];
    this.durable = 0;
    this.synced = 0;
    this.torn = false;
    this.rottenBatch = null;
    this.rottenRecord = null;
    this.witness = { written: 0, atOpening: 0, latest: 0, dueUs: 0 };
  }

  /** Told of every value that is read. */
  noteRead(value: Uint8Array): void {
    if (this.rottenRecord?.value === value) this.rotReadUs ||= this.sim.nowUs;
  }

  /** The next write fails as an I/O error does. */
  failNextWrite(): void {
    this.failNext = true;
  }

  /** Whether a write that is through fails nevertheless. */
  failsNow(sync: boolean): boolean {
    const { syncErrorRate } = this.faults;
    const fails = this.failNext || (sync && syncErrorRate > 0 && this.prng.chance(syncErrorRate));
    this.failNext = false;
    if (fails) this.sim.tally.fault("sync error");
    return fails;
  }

  /** Microseconds until a write is through. */
  delayUs(sync: boolean): number {
    const { faults, prng } = this;
    let delay = prng.exponential(sync ? faults.syncMeanUs : faults.writeMeanUs) + 5;
    if (faults.stallRate > 0 && prng.chance(faults.stallRate)) {
      delay += prng.below(faults.stallMaxUs);
      this.sim.tally.fault("slow write");
    }
    const hung = this.hungUntilUs - this.sim.nowUs;
    return hung > 0 ? hung + delay : delay;
  }
}
