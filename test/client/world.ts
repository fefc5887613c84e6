import type { Runtime } from "../../src/runtime/api.js";
import { memoryMeter, nullLog } from "../../src/runtime/index.js";
import { Prng } from "../../src/runtime/prng.js";
import { Simulation } from "../../src/testing/sim/index.js";

/** The seed of this run: from the environment, or fresh. Printed when something fails. */
export const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/** Virtual time with promises: what a test of the client runs in. */
export class World {
  readonly simulation: Simulation;
  readonly runtime: Runtime;

  constructor(seed = SEED) {
    this.simulation = new Simulation(seed);
    const { simulation } = this;
    const random = Prng.fromSeed(seed);
    this.runtime = {
      clock: { monotonicMs: () => simulation.nowUs / 1000, wallMs: () => simulation.nowUs / 1000 },
      random,
      scheduler: {
        after: (delayMs, run) => simulation.after(delayMs * 1000, run),
        soon: (run) => void simulation.after(0, run),
      },
      log: nullLog,
      meter: memoryMeter(),
    };
  }

  get nowMs(): number {
    return this.simulation.nowUs / 1000;
  }

  after(delayMs: number, run: () => void): void {
    this.simulation.after(delayMs * 1000, run);
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    await this.simulation.runAsyncUntil(this.simulation.nowUs + ms * 1000);
  }

  /** Runs until the promise settles, for at most `limitMs` of virtual time. */
  async settle<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    let settled = false;
    const mark = () => (settled = true);
    promise.then(mark, mark);
    await this.simulation.runAsyncUntil(this.simulation.nowUs + limitMs * 1000, () => settled);
    if (!settled) throw new Error(`not settled after ${limitMs} ms of virtual time (SEED=${SEED})`);
    return promise;
  }

  /** Runs until the condition holds. */
  async until(condition: () => boolean, limitMs = 60_000): Promise<void> {
    await this.simulation.runAsyncUntil(this.simulation.nowUs + limitMs * 1000, condition);
    if (!condition()) throw new Error(`condition not met after ${limitMs} ms of virtual time (SEED=${SEED})`);
  }
}
