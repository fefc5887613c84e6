import { Simulation } from "../../src/testing/sim/simulation.js";
import {
  type Clock,
  memoryMeter,
  nullLog,
  Prng,
  type Runtime,
  type Scheduler,
} from "../../src/runtime/index.js";

/** A world under virtual time for tests: one simulation, clocks and timers on it. */
export class World {
  readonly sim: Simulation;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly meter = memoryMeter();

  constructor(readonly seed = 1) {
    this.sim = new Simulation(seed);
    this.clock = {
      monotonicMs: () => this.sim.nowUs / 1000,
      wallMs: () => 1_700_000_000_000 + this.sim.nowUs / 1000,
    };
    this.scheduler = {
      after: (delayMs, run) => {
        const event = this.sim.after(delayMs * 1000, run);
        return { cancel: () => event.cancel() };
      },
      soon: (run) => void this.sim.after(0, run),
    };
  }

  runtime(seed: number): Runtime {
    return {
      clock: this.clock,
      scheduler: this.scheduler,
      random: Prng.fromSeed(this.seed * 1000 + seed),
      log: nullLog,
      meter: this.meter,
    };
  }

  /** Lets virtual time pass until the condition holds; fails when it does not within `withinMs`. */
  async until(what: string, condition: () => boolean, withinMs = 10_000): Promise<void> {
    const end = this.sim.nowUs + withinMs * 1000;
    await microtasks();
    while (!condition() && this.sim.step(end)) await microtasks();
    if (!condition())
      throw new Error(`within ${withinMs} ms of virtual time it never came to: ${what} (seed ${this.seed})`);
  }

  /** Lets this much virtual time pass. */
  async pass(ms: number): Promise<void> {
    const end = this.sim.nowUs + ms * 1000;
    await microtasks();
    while (this.sim.step(end)) await microtasks();
  }

  /** Lets virtual time pass until the promise settles. */
  async settled<T>(promise: Promise<T>, withinMs = 10_000): Promise<T> {
    let over = false;
    const end = (): void => void (over = true);
    promise.then(end, end);
    await this.until("a promise settles", () => over, withinMs);
    return promise;
  }
}

/** Runs all microtasks, also those that they queue; no real time passes. */
function microtasks(): Promise<void> {
  return new Promise((done) => queueMicrotask(() => process.nextTick(done)));
}
