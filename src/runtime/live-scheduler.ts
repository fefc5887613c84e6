import type { Scheduler } from "./api.js";

/**
 * Timers that keep the process alive, for programs in which a pending call is the only thing that is left to wait for: a
 * client whose cluster is away for the moment has no socket open, and must not exit in the middle of an await.
 */
export const liveScheduler: Scheduler = {
  after(delayMs, run) {
    const handle = setTimeout(run, Math.max(0, delayMs));
    return { cancel: () => clearTimeout(handle) };
  },
  soon(run) {
    setImmediate(run);
  },
};
