import { EventQueue, type SimEvent } from "./event-queue.js";
import { SeedTree } from "./prng.js";
import { Tally } from "./tally.js";
import { TraceHash } from "./trace-hash.js";

/** A found bug: thrown by checkers, caught by the runner that prints the seed. */
export class Violation extends Error {
  override readonly name = "Violation";

  constructor(
    readonly checker: string,
    message: string,
  ) {
    super(`${checker}: ${message}`);
  }
}

/**
 * One run: a seed, virtual time in whole microseconds, the queue of what is to happen, and what was counted. Nothing in
 * a run looks at the real world.
 */
export class Simulation {
  readonly seeds: SeedTree;
  readonly trace = new TraceHash();
  readonly tally = new Tally();
  readonly queue = new EventQueue();
  nowUs = 0;
  events = 0;
  /** The process that the event under way has reached; its promises run before the next event. */
  running: object | null = null;
  /** More events than this are a world that turns in circles: a finding, not a long run. */
  eventsMax = 5_000_000;

  constructor(seed: number) {
    this.seeds = new SeedTree(seed);
  }

  /** Plans something after a delay; a negative or fractional delay is rounded to whole microseconds from now on. */
  after(delayUs: number, run: () => void): SimEvent {
    return this.queue.push(this.nowUs + Math.max(0, Math.round(delayUs)), run);
  }

  at(timeUs: number, run: () => void): SimEvent {
    return this.queue.push(Math.max(this.nowUs, Math.round(timeUs)), run);
  }

  /** Runs the next event; false when nothing is left or the next one is later than `untilUs`. */
  step(untilUs: number): boolean {
    const event = this.queue.peek();
    if (event === null || event.timeUs > untilUs) {
      if (this.nowUs < untilUs) this.nowUs = untilUs;
      return false;
    }
    this.queue.pop();
    this.nowUs = event.timeUs;
    if (++this.events > this.eventsMax) {
      throw new Violation("runaway", `${this.eventsMax} events and still busy at ${this.nowUs} us`);
    }
    const { run } = event;
    event.run = null;
    event.cancelled = true;
    this.running = null;
    run?.();
    return true;
  }

  /** For components without promises: runs everything up to this time. */
  runUntil(untilUs: number): void {
    while (this.step(untilUs));
  }

  /**
   * For components with promises: after each event the microtasks run to exhaustion before the next one, in the order in
   * which V8 queued them, so that a run is as deterministic as a synchronous one. `done` ends it early.
   */
  runAsyncUntil(untilUs: number, done: () => boolean = () => false): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        try {
          if (done() || !this.step(untilUs)) {
            resolve();
            return;
          }
        } catch (error) {
          reject(error);
          return;
        }
        // A microtask queued now runs after those of the event, but those may queue more; the tick queue is looked at
        // only when no microtask is left. It is not a timer: no real time passes and no I/O is looked at.
        queueMicrotask(() => process.nextTick(turn));
      };
      // Called from a timer or an I/O callback, the tick queue would come before the microtasks of what was just started.
      queueMicrotask(() => process.nextTick(turn));
    });
  }
}
