/**
 * Loaded into a node beside the product (`--import`): says what held its main thread, which the delay of its loop alone does
 * not tell. The kernel counts for each thread how long it ran and how long it was ready to run with no core free; what is left
 * of a hold is blocked, in a call or waiting for helper threads. One line of JSON a hold, to the file HOLDS.
 */
import { appendFileSync, openSync, readSync } from "node:fs";
import { PerformanceObserver } from "node:perf_hooks";
import type { Hold } from "./holds.js";

const INTERVAL_MS = 5;
/** Shorter ones are not told. */
const TOLD_MS = 15;

const file = process.env["HOLDS"] ?? "";
const schedule = openSync(`/proc/self/task/${process.pid}/schedstat`, "r");
const text = Buffer.alloc(64);

/** Milliseconds that the main thread has run, and has been ready to run without a core. */
function threadTimes(): [ranMs: number, waitedMs: number] {
  const length = readSync(schedule, text, 0, text.length, 0);
  const [ran, waited] = text.toString("latin1", 0, length).split(" ");
  return [Number(ran) / 1e6, Number(waited) / 1e6];
}

const collections: { atMs: number; ms: number; kind: number }[] = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const { kind } = (entry as unknown as { detail: { kind: number } }).detail;
    collections.push({ atMs: entry.startTime, ms: entry.duration, kind });
    if (collections.length > 100) collections.shift();
  }
}).observe({ entryTypes: ["gc"] });

let lastMs = performance.now();
let [lastRan, lastWaited] = threadTimes();

function tick(): void {
  const now = performance.now();
  const [ran, waited] = threadTimes();
  const heldMs = now - lastMs - INTERVAL_MS;
  if (heldMs >= TOLD_MS) {
    const hold = { atMs: Date.now() - heldMs, heldMs, ranMs: ran - lastRan, waitedMs: waited - lastWaited };
    // The observer hears of a collection in a later turn.
    const from = lastMs;
    setTimeout(() => tell(hold, from, now), 50).unref();
  }
  lastMs = now;
  [lastRan, lastWaited] = [ran, waited];
}

function tell(hold: Omit<Hold, "collectedMs">, from: number, until: number): void {
  const within = collections.filter(({ atMs, ms }) => atMs + ms > from && atMs < until);
  const collectedMs = within.reduce((sum, { ms }) => sum + ms, 0);
  appendFileSync(file, `${JSON.stringify({ ...hold, collectedMs } satisfies Hold)}\n`);
}

if (file !== "") setInterval(tick, INTERVAL_MS).unref();
