import type { Log, Meter, Scheduler, Timer } from "../runtime/api.js";

/** The space of a disk, as the guard needs it; `folderSpace` is the real one. */
export interface DiskSpace {
  /** Bytes that this process may still write. */
  freeBytes(): Promise<number>;
  /** Makes sure that `bytes` are set aside; false when there is no room for them: then as many stay so as were before. */
  reserve(bytes: number): Promise<boolean>;
  /** Gives back `bytes` of what is set aside, or all of it if that is less; answers how many. */
  release(bytes: number): Promise<number>;
}

/** Marks of the guard, in bytes of free space. */
export interface DiskGuardOptions {
  /** Set aside while there is room, given back in parts when there is none: what closing, renewing and compacting live on. */
  readonly reserveBytes: number;
  /** Below this much free space the disk counts as full. */
  readonly fullBytes: number;
  /** Above this much, after the reserve was set aside again, it no longer does. Higher than `fullBytes`. */
  readonly recoveredBytes: number;
  /** Between two looks while there is room, and while there is little. */
  readonly intervalMs: number;
  readonly fullIntervalMs: number;
}

/** For a data folder of its own on a disk of some gigabytes. */
export const defaultDiskGuardOptions: DiskGuardOptions = {
  reserveBytes: 24 * 1024 * 1024,
  fullBytes: 64 * 1024 * 1024,
  recoveredBytes: 128 * 1024 * 1024,
  intervalMs: 250,
  fullIntervalMs: 250,
};

/**
 * In how many parts the reserve is given back, one for each write that finds no space. Whoever uses up the disk takes
 * what is given back meanwhile, too; all at once would be gone before the database is open again.
 */
const RESERVE_PARTS = 4;

/** Called at each change: true when the disk has become full, false when it has recovered. */
export type DiskFullListener = (full: boolean) => void;

/**
 * Watches the free space and declares the disk full *before* a write fails: RocksDB does not go on after a failed
 * write, the database has to be opened anew. While it is full the owner refuses what adds data, so that what is left is
 * for closing, renewing and compacting. When that is used up as well, or others fill the disk faster than it looks,
 * `ranOut` tells it, and gives back a part of the reserve. When space returns the reserve is made whole again and
 * everything goes on without a human's help. The gap between the two thresholds keeps it from flapping.
 */
export class DiskGuard {
  readonly #space: DiskSpace;
  readonly #scheduler: Scheduler;
  readonly #log: Log;
  readonly #meter: Meter;
  readonly #options: DiskGuardOptions;
  readonly #listeners: DiskFullListener[] = [];
  #full = false;
  #freeBytes = Number.POSITIVE_INFINITY;
  #timer: Timer | null = null;
  #stopped = false;
  #looking: Promise<void> | null = null;

  constructor(
    space: DiskSpace,
    world: { readonly scheduler: Scheduler; readonly log: Log; readonly meter: Meter },
    options: Partial<DiskGuardOptions> = {},
  ) {
    this.#space = space;
    this.#scheduler = world.scheduler;
    this.#log = world.log;
    this.#meter = world.meter;
    this.#options = { ...defaultDiskGuardOptions, ...options };
    if (this.#options.recoveredBytes <= this.#options.fullBytes)
      throw new RangeError(
        "recoveredBytes must be above fullBytes, or the disk would be full and not full at once",
      );
  }

  /** True while only what frees space should be written. */
  get full(): boolean {
    return this.#full;
  }

  /** Free bytes at the last look. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  onChange(listener: DiskFullListener): void {
    this.#listeners.push(listener);
  }

  /** Takes a first look, sets the reserve aside if there is room, and goes on looking until `stop`. */
  async start(): Promise<void> {
    await this.look();
  }

  /** Looks now; a write that failed for lack of space is a reason to. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
      this.#arm();
    });
    return this.#looking;
  }

  /**
   * A write has found no space: gives back a part of the reserve and declares the disk full at once. Can be called again
   * and again. Does not fail; answers whether there was something to give back.
   */
  async ranOut(): Promise<boolean> {
    await this.#looking;
    this.#meter.count("disk_writes_without_space");
    let releasedBytes = 0;
    try {
      releasedBytes = await this.#space.release(Math.ceil(this.#options.reserveBytes / RESERVE_PARTS));
      this.#freeBytes = await this.#space.freeBytes();
    } catch (error) {
      this.#log.warn({ error: String(error) }, "the reserve could not be given back");
    }
    if (!this.#full) this.#change(true);
    this.#arm();
    return releasedBytes > 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  #arm(): void {
    if (this.#stopped) return;
    this.#timer?.cancel();
    const { intervalMs, fullIntervalMs } = this.#options;
    this.#timer = this.#scheduler.after(this.#full ? fullIntervalMs : intervalMs, () => void this.look());
  }

  async #look(): Promise<void> {
    try {
      this.#freeBytes = await this.#space.freeBytes();
      this.#meter.gauge("disk_free_bytes", this.#freeBytes);
      if (this.#full) await this.#whileFull();
      else await this.#whileRoom();
    } catch (error) {
      this.#log.warn({ error: String(error) }, "the free space of the data folder cannot be told");
    }
  }

  async #whileRoom(): Promise<void> {
    const { fullBytes, reserveBytes } = this.#options;
    if (this.#freeBytes >= fullBytes && (await this.#space.reserve(reserveBytes))) return;
    this.#change(true);
  }

  async #whileFull(): Promise<void> {
    const { recoveredBytes, reserveBytes } = this.#options;
    if (this.#freeBytes < recoveredBytes + reserveBytes) return;
    if (await this.#space.reserve(reserveBytes)) this.#change(false);
  }

  #change(full: boolean): void {
    this.#full = full;
    this.#meter.gauge("disk_full", full ? 1 : 0);
    const fields = { freeBytes: this.#freeBytes };
    if (full)
      this.#log.error(fields, "the data folder's disk is full: nothing new is taken in until space returns");
    else this.#log.info(fields, "the data folder's disk has room again");
    for (const listener of this.#listeners) listener(full);
  }
}
