import type { Scheduler, Timer } from "./api.js";

/** Timers of the process. None keeps it alive: what must finish before exit is awaited by its owner. */
export const realScheduler: Scheduler = {
  after(delayMs, run) {
    const handle = setTimeout(run, Math.max(0, delayMs));
    handle.unref();
    return new RealTimer(handle);
  },
  soon(run) {
    setImmediate(run);
  },
};

class RealTimer implements Timer {
  readonly #handle: NodeJS.Timeout;
  constructor(handle: NodeJS.Timeout) {
    this.#handle = handle;
  }
  cancel(): void {
    clearTimeout(this.#handle);
  }
}
