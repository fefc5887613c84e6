import type { Runtime, Timer } from "../runtime/api.js";

/** What a watcher of one link needs. */
export interface LivenessOptions {
  readonly pingIntervalMs: number;
  readonly silenceLimitMs: number;
  /** Puts a ping on the link. */
  readonly ping: () => void;
  /** Called once, with how long nothing was heard. */
  readonly onSilent: (silentMs: number) => void;
}

/**
 * Notices a node that is blackholed, stopped or half-open: its connection looks healthy for minutes, so only silence
 * tells (field-notes 3.7, 48 and 49). Anything that arrives counts as life; a ping goes out only when nothing did.
 *
 * A late timer of our own is not a dead node: when this process itself stood still, frames may lie unread in the
 * socket, so the verdict waits for one more interval.
 */
export class Liveness {
  readonly #runtime: Runtime;
  readonly #options: LivenessOptions;
  #timer: Timer | null = null;
  #heardAtMs: number;
  #dueAtMs = 0;

  constructor(runtime: Runtime, options: LivenessOptions) {
    this.#runtime = runtime;
    this.#options = options;
    this.#heardAtMs = runtime.clock.monotonicMs();
    this.#arm();
  }

  /** Something arrived. */
  heard(): void {
    this.#heardAtMs = this.#runtime.clock.monotonicMs();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    const { pingIntervalMs } = this.#options;
    this.#dueAtMs = this.#runtime.clock.monotonicMs() + pingIntervalMs;
    this.#timer = this.#runtime.scheduler.after(pingIntervalMs, () => this.#look());
  }

  #look(): void {
    const { pingIntervalMs, silenceLimitMs } = this.#options;
    const nowMs = this.#runtime.clock.monotonicMs();
    const silentMs = nowMs - this.#heardAtMs;
    const timerWasLate = nowMs - this.#dueAtMs > pingIntervalMs;
    if (silentMs >= silenceLimitMs && !timerWasLate) {
      this.#timer = null;
      this.#options.onSilent(silentMs);
      return;
    }
    if (silentMs >= pingIntervalMs / 2) this.#options.ping();
    this.#arm();
  }
}
