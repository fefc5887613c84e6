import type { Clock, Meter, Scheduler, Timer } from "./api.js";

/**
 * Measures how late the event loop runs, as the histogram `event_loop_delay_ms`. A leader whose loop stalls cannot
 * heartbeat: what it sees as a silent follower is its own silence.
 */
export class LoopWatch {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #meter: Meter;
  readonly #intervalMs: number;
  readonly #onStall: (lateMs: number) => void;
  readonly #stallMs: number;
  #timer: Timer | null = null;
  #stopped = false;
  #dueMs = 0;

  constructor(
    world: { readonly clock: Clock; readonly scheduler: Scheduler; readonly meter: Meter },
    options: {
      readonly intervalMs?: number;
      readonly stallMs?: number;
      readonly onStall?: (lateMs: number) => void;
    } = {},
  ) {
    this.#clock = world.clock;
    this.#scheduler = world.scheduler;
    this.#meter = world.meter;
    this.#intervalMs = options.intervalMs ?? 20;
    this.#stallMs = options.stallMs ?? 100;
    this.#onStall = options.onStall ?? (() => {});
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    this.#dueMs = this.#clock.monotonicMs() + this.#intervalMs;
    this.#timer = this.#scheduler.after(this.#intervalMs, () => this.#tick());
  }

  #tick(): void {
    if (this.#stopped) return;
    const lateMs = Math.max(0, this.#clock.monotonicMs() - this.#dueMs);
    this.#meter.observe("event_loop_delay_ms", lateMs);
    if (lateMs >= this.#stallMs) {
      this.#meter.count("event_loop_stalls");
      this.#onStall(lateMs);
    }
    this.#arm();
  }
}
