import { type CrashPoint, setCrashHook } from "../../filenode/crash-points.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { Prng } from "../sim/prng.js";
import type { ClusterWorld } from "./cluster-world.js";

/**
 * Nodes that die between two steps of an operation on the share: right after an intent was recorded, a name was linked,
 * bytes were written, an outcome was recorded. Timers hit these windows, of a millisecond or less, hardly ever.
 */
export class CrashPointFaults {
  private readonly perSecond: number;
  private armed = false;

  constructor(
    private readonly world: ClusterWorld,
    private readonly prng: Prng,
  ) {
    this.perSecond = prng.chance(0.6) ? prng.fraction() * 0.4 : 0;
  }

  start(): void {
    if (this.perSecond > 0) this.arm();
    setCrashHook((point) => this.passed(point));
  }

  /** One node dies at one of the next points that any of them passes. */
  once(): void {
    this.armed = true;
    setCrashHook((point) => this.passed(point));
  }

  private arm(): void {
    this.world.sim.after(this.prng.exponential(1_000_000 / this.perSecond), () => {
      this.armed = this.world.hostile;
      if (this.armed) this.arm();
    });
  }

  private passed(point: CrashPoint): void {
    if (!this.armed || !this.prng.chance(0.2)) return;
    const node = this.world.nodes.find(
      ({ process }) => process !== null && process === this.world.sim.running,
    );
    if (node === undefined || !this.world.hostile) return;
    this.armed = false;
    const { tally } = this.world.sim;
    tally.fault("process killed within an operation");
    tally.situation(`killed at ${point}`);
    this.world.noteCrash(node);
    node.crash(this.prng.chance(0.2));
    this.world.restartLater(node);
    // Nothing after this point happens any more; whoever waits for it is gone.
    throw new HoldfastError(ErrorCode.STORAGE_FAILED, `the process was killed at ${point}`);
  }
}
