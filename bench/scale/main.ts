/**
 * `make bench-scale`: a million handles in ten thousand sessions on one node. What takeover costs, what a handle costs
 * in memory, and how long the event loop is held. Environment: SESSIONS, HANDLES (per session), JSON (file).
 */
import { writeFileSync } from "node:fs";
import { fill } from "./state.js";

const sessions = Number(process.env["SESSIONS"] || 10_000);
const handlesPerSession = Number(process.env["HANDLES"] || 100);
const figures: Record<string, number> = { sessions, handles: sessions * handlesPerSession };

function note(name: string, value: number, unit: string): void {
  figures[name] = Math.round(value * 100) / 100;
  process.stdout.write(`${name.padEnd(44)}${figures[name]?.toLocaleString("en-US").padStart(14)} ${unit}\n`);
}

function heapBytes(): number {
  global.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const before = heapBytes();
let records = 0;
let bytes = 0;
const began = performance.now();
const state = fill({ sessions, handlesPerSession }, (dirty) => {
  records += dirty.length;
  for (const each of dirty) bytes += each.value?.length ?? 0;
});
const handles = sessions * handlesPerSession;
note("opens applied", handles / ((performance.now() - began) / 1000), "per s");
note("records written", records, "");
note("bytes a handle on disk", bytes / handles, "B");
note("memory a handle", (heapBytes() - before) / handles, "B");

const from = performance.now();
const result = state.apply({ nodeDown: { node: "n1", incarnation: 1, cause: "bench" } });
const applied = performance.now() - from;
if (result.error) throw new Error(result.error.message ?? "node-down failed");
note("takeover: apply one entry", applied, "ms");
const encodeFrom = performance.now();
const dirty = state.machine.takeDirty();
note("takeover: encode its records", performance.now() - encodeFrom, "ms");
note("takeover: records changed", dirty.length, "");

if (process.env["JSON"]) writeFileSync(process.env["JSON"], JSON.stringify(figures, null, 2));
