import { fill, type ScaleOptions } from "./state.js";
import type { Note } from "./live.js";

function heapBytes(): number {
  global.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The state machine alone: a takeover as one entry, and the memory of a handle. */
export function stateScale(options: ScaleOptions, note: Note): void {
  const handles = options.sessions * options.handlesPerSession;
  const before = heapBytes();
  let records = 0;
  let bytes = 0;
  const began = performance.now();
  const state = fill(options, (dirty) => {
    records += dirty.length;
    for (const each of dirty) bytes += each.value?.length ?? 0;
  });
  note("opens applied", handles / ((performance.now() - began) / 1000), "per s");
  note("records written", records, "");
  note("bytes a handle on disk", bytes / handles, "B");
  note("memory a handle", (heapBytes() - before) / handles, "B", 1024);

  const from = performance.now();
  const result = state.apply({ nodeDown: { node: "n1", incarnation: 1, cause: "bench" } });
  const applied = performance.now() - from;
  if (result.error) throw new Error(result.error.message ?? "node-down failed");
  note("takeover: apply one entry", applied, "ms", 200);
  const encodeFrom = performance.now();
  const dirty = state.machine.takeDirty();
  note("takeover: encode its records", performance.now() - encodeFrom, "ms");
  note("takeover: records changed", dirty.length, "");
}
