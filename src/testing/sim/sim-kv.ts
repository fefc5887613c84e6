import type { KvIterator, KvStore, WriteOp } from "../../runtime/api.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { Prng } from "./prng.js";
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
}

/** A disk that is quick and never fails. */
export const SOUND_KV: KvFaults = {
  writeMeanUs: 20,
  syncMeanUs: 400,
  stallRate: 0,
  stallMaxUs: 0,
  syncErrorRate: 0,
};

type Batch = readonly { readonly key: string; readonly value: Uint8Array | null }[];

interface Queued {
  readonly batch: Batch;
  readonly sync: boolean;
  readonly done: (error: Error | null) => void;
}

/**
 * What lies on one node's disk: outlives processes. A batch is on it whole or not at all; what was not synced is lost at
 * a power cut from a random batch on.
 */
export class SimDisk {
  private durable = new Map<string, Uint8Array>();
  private unsynced: Batch[] = [];
  /** Keys whose block no longer matches its checksum: reading one fails, writing it heals it. */
  private readonly rotten = new Set<string>();
  faults: KvFaults = SOUND_KV;
  hungUntilUs = 0;
  readonly space = new SimSpace();
  private open: SimKv | null = null;

  constructor(
    readonly sim: Simulation,
    readonly prng: Prng,
  ) {}

  /** Opens the store; the one that was open before is dead. What it shows is durable: opening writes out what it found. */
  store(): SimKv {
    this.open?.die();
    for (const batch of this.unsynced) applyBatch(this.durable, batch);
    this.unsynced = [];
    this.open = new SimKv(this, new Map(this.durable));
    return this.open;
  }

  /** The process is gone. With the power gone too, only a prefix of the unsynced batches is left. */
  crash(powerLost: boolean): void {
    const inFlight = this.open?.die() ?? [];
    this.open = null;
    this.hungUntilUs = 0;
    // What was handed over and not yet answered may have arrived as far as any point.
    const arrived = inFlight.slice(0, this.prng.below(inFlight.length + 1));
    this.unsynced.push(...arrived);
    if (!powerLost) return;
    const kept = this.prng.below(this.unsynced.length + 1);
    const lost = this.unsynced.length - kept;
    if (lost > 0) this.sim.tally.fault("unsynced batch lost", lost);
    if (lost > 0 && kept > 0) this.sim.tally.situation("power cut kept a part of the unsynced batches");
    for (let i = 0; i < kept; i++) applyBatch(this.durable, this.unsynced[i] as Batch);
    this.unsynced = [];
  }

  /** A batch is readable; with `sync` all up to it are durable. */
  applied(batch: Batch, sync: boolean): void {
    for (const { key } of batch) this.rotten.delete(key);
    this.unsynced.push(batch);
    if (!sync) return;
    for (const each of this.unsynced) applyBatch(this.durable, each);
    this.unsynced = [];
  }

  isRotten(key: string): boolean {
    return this.rotten.has(key);
  }

  /** Damages one stored block. False when nothing is stored. */
  rot(): boolean {
    const keys = [...this.durable.keys()];
    if (keys.length === 0) return false;
    this.rotten.add(this.prng.pick(keys));
    return true;
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

/** One opened store. Batches are written one after the other, in the order of the calls, as by one write-ahead log. */
export class SimKv implements KvStore {
  private queue: Queued[] = [];
  private writing = false;
  private dead = false;
  private failure: HoldfastError | null = null;
  private failNext = false;

  constructor(
    private readonly disk: SimDisk,
    private readonly visible: Map<string, Uint8Array>,
  ) {}

  write(
    ops: readonly WriteOp[],
    options: { readonly sync: boolean },
    done: (error: Error | null) => void,
  ): void {
    if (this.dead) return;
    const own = ops.find(({ key }) => key.length === 0 || key[0] === 0);
    if (own !== undefined) {
      const error = new HoldfastError(ErrorCode.INVALID_ARGUMENT, `key ${hex(own.key)} belongs to the store`);
      this.disk.sim.after(1, () => done(error));
      return;
    }
    const batch = ops.map((op) => ({
      key: hex(op.key),
      value: op.type === "put" ? Uint8Array.from(op.value) : null,
    }));
    this.queue.push({ batch, sync: options.sync, done });
    this.pump();
  }

  private pump(): void {
    if (this.writing || this.queue.length === 0) return;
    this.writing = true;
    const { sync } = this.queue[0] as Queued;
    this.disk.sim.after(this.disk.delayUs(sync), () => {
      if (this.dead) return;
      this.writing = false;
      this.finish(this.queue.shift() as Queued);
      this.pump();
    });
  }

  private finish({ batch, sync, done }: Queued): void {
    const { faults, prng, sim } = this.disk;
    const fails = this.failNext || (sync && faults.syncErrorRate > 0 && prng.chance(faults.syncErrorRate));
    this.failNext = false;
    if (fails && this.failure === null) {
      sim.tally.fault("sync error");
      this.failure = new HoldfastError(ErrorCode.STORAGE_FAILED, "IO error: simulated fsync failure");
    }
    if (this.failure === null && !this.disk.space.take(growth(this.visible, batch))) {
      sim.tally.fault("write on a full disk");
      this.failure = new HoldfastError(
        ErrorCode.STORAGE_FAILED,
        "IO error: no space left on the simulated disk",
      );
    }
    if (this.failure !== null) {
      done(this.failure);
      return;
    }
    applyBatch(this.visible, batch);
    this.disk.applied(batch, sync);
    done(null);
  }

  /** The next write fails as an I/O error does. */
  failNextWrite(): void {
    this.failNext = true;
  }

  get(key: Uint8Array): Promise<Uint8Array | null> {
    const name = hex(key);
    if (this.disk.isRotten(name)) return Promise.reject(rotError(name));
    const value = this.visible.get(name);
    // A Buffer, as a database gives: callers may use its methods.
    return Promise.resolve(value === undefined ? null : Buffer.from(value));
  }

  iterate(from: Uint8Array, to: Uint8Array): KvIterator {
    const low = hex(from);
    const high = hex(to);
    const found: [string, Uint8Array][] = [];
    for (const entry of this.visible) if (entry[0] >= low && entry[0] < high) found.push(entry);
    found.sort((x, y) => (x[0] < y[0] ? -1 : 1));
    let at = 0;
    let closed = false;
    return {
      next: (countMax, bytesMax) => {
        const batch: (readonly [Uint8Array, Uint8Array])[] = [];
        let bytes = 0;
        while (
          !closed &&
          at < found.length &&
          batch.length < countMax &&
          (batch.length === 0 || bytes < bytesMax)
        ) {
          const [key, value] = found[at++] as [string, Uint8Array];
          if (this.disk.isRotten(key)) return Promise.reject(rotError(key));
          batch.push([Buffer.from(key, "hex"), Buffer.from(value)]);
          bytes += key.length / 2 + value.length;
        }
        return Promise.resolve(batch);
      },
      close: () => {
        closed = true;
        return Promise.resolve();
      },
    };
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      const wait = (): void => {
        if (this.queue.length === 0 || this.dead) resolve();
        else this.disk.sim.after(100, wait);
      };
      wait();
    });
  }

  /** The process that opened it is gone: nothing is called back any more. Answers what was under way. */
  die(): Batch[] {
    this.dead = true;
    const waiting = this.queue.map(({ batch }) => batch);
    this.queue = [];
    return waiting;
  }
}

/** Bytes that a batch adds to what is stored; negative when it frees more. */
function growth(stored: ReadonlyMap<string, Uint8Array>, batch: Batch): number {
  let bytes = 0;
  for (const { key, value } of batch) {
    const before = stored.get(key);
    if (before !== undefined) bytes -= key.length / 2 + before.length;
    if (value !== null) bytes += key.length / 2 + value.length;
  }
  return bytes;
}

function applyBatch(target: Map<string, Uint8Array>, batch: Batch): void {
  for (const { key, value } of batch) {
    if (value === null) target.delete(key);
    else target.set(key, value);
  }
}

function rotError(key: string): HoldfastError {
  return new HoldfastError(
    ErrorCode.STORAGE_FAILED,
    `Corruption: simulated block checksum mismatch at key ${key}`,
  );
}

/** Hexadecimal keeps the bytewise order. */
function hex(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("hex");
}
