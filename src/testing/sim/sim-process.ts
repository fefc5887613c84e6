import type { Log, Meter, Runtime } from "../../runtime/api.js";
import { nullLog, nullMeter } from "../../runtime/memory.js";
import type { SimClock } from "./clock.js";
import type { Prng } from "./prng.js";
import type { Simulation } from "./simulation.js";

/**
 * One process of a node, from start to end: its runtime, whose timers stop with it, wait while it is paused, and are
 * late afterwards.
 */
export class SimProcess {
  private ended = false;
  private paused = false;
  private waiting: (() => void)[] = [];

  constructor(
    private readonly sim: Simulation,
    private readonly clock: SimClock,
    private readonly prng: Prng,
    private readonly log: Log = nullLog,
    private readonly meter: Meter = nullMeter,
  ) {}

  get alive(): boolean {
    return !this.ended;
  }

  /** Wraps a callback of the world so that it reaches this process only: never after its end, later while paused. */
  bind<A extends unknown[]>(run: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      if (this.ended) return;
      if (this.paused) {
        this.waiting.push(() => run(...args));
        return;
      }
      this.sim.running = this;
      run(...args);
    };
  }

  runtime(): Runtime {
    const { sim, clock, prng } = this;
    return {
      clock,
      random: prng,
      log: this.log,
      meter: this.meter,
      scheduler: {
        after: (delayMs, run) => {
          // Rounded up: "after at least" must hold on this clock, or a deadline is looked at just before it, for ever.
          const event = sim.after(Math.ceil(clock.virtualUs(delayMs)) + 1, this.bind(run));
          return { cancel: () => event.cancel() };
        },
        soon: (run) => void sim.after(1, this.bind(run)),
      },
    };
  }

  /** SIGSTOP and SIGCONT. What has waited happens at once, each in an event of its own. */
  pause(paused: boolean): void {
    this.paused = paused;
    if (paused) return;
    const { waiting } = this;
    this.waiting = [];
    for (const run of waiting) this.sim.after(0, this.bind(run));
  }

  end(): void {
    this.ended = true;
    this.waiting = [];
  }
}
