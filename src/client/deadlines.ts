import type { Runtime, Timer } from "../runtime/api.js";
import type { Call } from "./call.js";

/**
 * The deadlines of all open calls with one timer: it stands at the earliest one, and looks through the calls only when it
 * fires. A timer per call would cost more than most calls do.
 */
export class Deadlines {
  readonly #runtime: Runtime;
  readonly #expired: (call: Call) => void;
  readonly #calls = new Set<Call>();
  #timer: Timer | null = null;
  #armedForMs = Number.POSITIVE_INFINITY;

  constructor(runtime: Runtime, expired: (call: Call) => void) {
    this.#runtime = runtime;
    this.#expired = expired;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** The open call of these that was begun first. */
  oldest(counts: (call: Call) => boolean): Call | undefined {
    for (const call of this.#calls) if (counts(call)) return call;
    return undefined;
  }

  /** Every open call, oldest first. */
  all(): Call[] {
    return [...this.#calls];
  }

  add(call: Call): void {
    this.#calls.add(call);
    if (call.deadlineAtMs < this.#armedForMs) this.#arm(call.deadlineAtMs);
  }

  remove(call: Call): void {
    this.#calls.delete(call);
    if (this.#calls.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
    this.#armedForMs = Number.POSITIVE_INFINITY;
  }

  #arm(atMs: number): void {
    this.#timer?.cancel();
    this.#armedForMs = atMs;
    this.#timer = Number.isFinite(atMs)
      ? this.#runtime.scheduler.after(Math.max(0, atMs - this.#runtime.clock.monotonicMs()), () =>
          this.#look(),
        )
      : null;
  }

  #look(): void {
    const nowMs = this.#runtime.clock.monotonicMs();
    this.#armedForMs = Number.POSITIVE_INFINITY;
    let next = Number.POSITIVE_INFINITY;
    for (const call of [...this.#calls]) {
      if (call.deadlineAtMs <= nowMs) this.#expired(call);
      else if (call.deadlineAtMs < next) next = call.deadlineAtMs;
    }
    if (next < this.#armedForMs) this.#arm(next);
  }
}
