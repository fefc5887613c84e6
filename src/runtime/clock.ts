import { performance } from "node:perf_hooks";
import type { Clock } from "./api.js";

/** The machine's clocks. `monotonicMs` counts from the start of the process and keeps running through clock changes. */
export const realClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
};
