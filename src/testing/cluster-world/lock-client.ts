import type { Handle, Session } from "../../client/index.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { Range } from "../checkers/lock-exclusion.js";
import type { RangeLockInput } from "../linearizability/index.js";
import type { Prng } from "../sim/prng.js";
import type { SimProcess } from "../sim/sim-process.js";
import { Violation } from "../sim/simulation.js";
import type { ClusterWorld } from "./cluster-world.js";
import type { LockHistory } from "./lock-history.js";
import { RandomProgram } from "./random-program.js";

/** Bytes of the file that is locked. Small, so that ranges touch and overlap by one. */
const BYTES = 10;
const LOCKS_MAX = 4;
const DEADLINE_MS = 8_000;

/**
 * A program over the client library that locks, unlocks, reads and writes small ranges of one file. What it asked and
 * was answered goes into a history; a holder is one open, and after an unknown outcome the next open is another holder.
 */
export class LockClient extends RandomProgram {
  private session: Session | null = null;
  private handle: Handle | null = null;
  private opens = 0;
  private held: { readonly range: Range; readonly exclusive: boolean }[] = [];

  constructor(
    readonly id: number,
    world: ClusterWorld,
    private readonly process: SimProcess,
    prng: Prng,
    private readonly file: string,
    private readonly history: LockHistory,
  ) {
    super([20_000, 60_000, 200_000], world, prng);
  }

  get name(): string {
    return `locker ${this.id}`;
  }

  private get holder(): string {
    return `locker ${this.id}.${this.opens}`;
  }

  /** Nobody can say what this open still holds: it is left to its timeout. */
  protected async startOver(): Promise<void> {
    if (this.handle !== null)
      this.history.asked(this.id, { close: true, holder: this.holder }, this.world.sim.nowUs);
    this.world.locks.gone(this.holder);
    this.session?.abandon();
    this.session = null;
    this.handle = null;
    this.held = [];
  }

  protected async step(): Promise<void> {
    this.session ??= await this.world.population.connect(this.id, this.process, {
      nodes: this.prng.shuffle(this.world.addresses),
      clientName: this.name,
      deadlineMs: DEADLINE_MS,
    });
    if (this.handle === null) {
      this.opens++;
      this.handle = await this.session.open(this.file, { disposition: "open-if", access: "read-write" });
    }
    const dice = this.prng.below(10);
    if (dice < 4 && this.held.length < LOCKS_MAX) await this.lock(this.handle);
    else if (dice < 6) await this.unlock(this.handle);
    else if (dice < 9) await this.touch(this.handle);
    else if (this.prng.chance(0.3)) await this.close(this.handle);
  }

  private range(): Range {
    const start = this.prng.below(BYTES - 1);
    return { start, end: start + this.prng.between(1, Math.min(4, BYTES - start)) };
  }

  private recorded(input: RangeLockInput, call: () => Promise<boolean>): Promise<boolean> {
    return this.history.recorded(this.id, input, () => this.world.sim.nowUs, call);
  }

  private async lock(handle: Handle): Promise<void> {
    const range = this.range();
    const exclusive = this.prng.chance(0.6);
    const input = { lock: range, exclusive, holder: this.holder };
    if (!(await this.recorded(input, () => handle.tryLock(bytesOf(range), { exclusive })))) {
      this.world.sim.tally.situation("range lock refused");
      return;
    }
    this.world.sim.tally.situation(exclusive ? "exclusive range locked" : "shared range locked");
    this.held.push({ range, exclusive });
    this.world.guard(() => this.world.locks.granted(this.file, this.holder, range, exclusive));
  }

  private async unlock(handle: Handle): Promise<void> {
    if (this.held.length === 0) return;
    const at = this.prng.below(this.held.length);
    const { range } = this.held[at] as { range: Range };
    this.held.splice(at, 1);
    this.world.locks.releasing(this.file, this.holder, range);
    await this.recorded({ unlock: range, holder: this.holder }, async () => {
      await handle.unlock(bytesOf(range));
      return true;
    });
  }

  private async close(handle: Handle): Promise<void> {
    this.world.locks.gone(this.holder);
    this.held = [];
    await this.recorded({ close: true, holder: this.holder }, async () => {
      await handle.close();
      return true;
    });
    this.handle = null;
  }

  /** Byte-range locks are mandatory: what somebody holds all the while must stop this. */
  private async touch(handle: Handle): Promise<void> {
    const range = this.range();
    const write = this.prng.chance(0.5);
    const { offset, length } = bytesOf(range);
    const against = this.world.locks.against(this.file, this.holder, range, write);
    try {
      if (write) await handle.write(offset, new Uint8Array(length).fill(this.id));
      else await handle.read(offset, length);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== ErrorCode.FILE_LOCK_CONFLICT) throw error;
      this.world.sim.tally.situation(`${write ? "write" : "read"} against a lock refused`);
      return;
    }
    const still = against.find((lock) => this.world.locks.isHeld(this.file, lock));
    if (still === undefined) return;
    throw new Violation(
      "locks hold for I/O",
      `${this.holder} ${write ? "wrote" : "read"} [${range.start}, ${range.end}) of ${this.file} while ` +
        `${still.holder} held [${still.start}, ${still.end})`,
    );
  }
}

function bytesOf({ start, end }: Range): { offset: number; length: number } {
  return { offset: start, length: end - start };
}
