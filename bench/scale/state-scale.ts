import type { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { fill, type ScaleOptions } from "./state.js";
import type { Note } from "./live.js";

function heapBytes(): number {
  global.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The state machine alone: a takeover, and the memory of a handle. */
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

  let command: v1.ICommand | undefined = {
    nodeDown: { node: "n1", incarnation: 1, cause: "bench", sessionsMax: limits.takeoverSessionsWanted },
  };
  const each: { readonly applyMs: number; readonly encodeMs: number; readonly records: number }[] = [];
  while (command !== undefined) {
    const began = performance.now();
    const result = state.apply(command);
    if (result.error) throw new Error(result.error.message ?? "the takeover failed");
    const applied = performance.now();
    const dirty = state.machine.takeDirty().length;
    each.push({ applyMs: applied - began, encodeMs: performance.now() - applied, records: dirty });
    [command] = state.machine.due(state.clusterTimeMs, 1);
  }
  const sum = (of: (one: (typeof each)[0]) => number) => each.reduce((total, one) => total + of(one), 0);
  note("takeover: entries", each.length, "");
  note(
    "takeover: apply all of them",
    sum(({ applyMs }) => applyMs),
    "ms",
    200,
  );
  note("takeover: longest to apply", Math.max(...each.map(({ applyMs }) => applyMs)), "ms", 50);
  note(
    "takeover: encode their records",
    sum(({ encodeMs }) => encodeMs),
    "ms",
  );
  note("takeover: longest to encode", Math.max(...each.map(({ encodeMs }) => encodeMs)), "ms", 50);
  note(
    "takeover: records changed",
    sum(({ records }) => records),
    "",
  );
}
