import type { Runtime, Timer } from "../runtime/api.js";
import { Backoff } from "./backoff.js";
import type { Call } from "./call.js";

const PAUSE_FIRST_MS = 20;
const PAUSE_MAX_MS = 500;

/** Calls that wait a while before they are sent again, each of them longer than the time before. */
export class Pauses {
  readonly #runtime: Runtime;
  readonly #over: (call: Call) => void;
  readonly #timers = new Map<Call, Timer>();

  /** `over`: the pause of a call has passed, and nobody has ended it before. */
  constructor(runtime: Runtime, over: (call: Call) => void) {
    this.#runtime = runtime;
    this.#over = over;
  }

  /** A call waits, for at least so many milliseconds. */
  begin(call: Call, atLeastMs: number): void {
    call.backoff ??= new Backoff(this.#runtime.random, PAUSE_FIRST_MS, PAUSE_MAX_MS);
    this.end(call);
    call.stage = "pausing";
    const timer = this.#runtime.scheduler.after(Math.max(atLeastMs, call.backoff.next()), () => {
      this.#timers.delete(call);
      this.#over(call);
    });
    this.#timers.set(call, timer);
  }

  /** Ends the pause of a call, if it is in one; tells whether it was. A timer left behind would cut its next pause short. */
  end(call: Call): boolean {
    this.#timers.get(call)?.cancel();
    return this.#timers.delete(call);
  }

  /** All that wait now; ending some of them does not change this list. */
  all(): readonly Call[] {
    return [...this.#timers.keys()];
  }
}
