import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A time in which a node's main thread did not come to its loop, in ms. */
export interface Hold {
  /** Since 1970. */
  readonly atMs: number;
  readonly heldMs: number;
  /** Of it, and of the few ms before: on a core. */
  readonly ranMs: number;
  /** Ready to run, with every core taken by others. */
  readonly waitedMs: number;
  /** Pauses of the garbage collector, in whatever state the thread was. */
  readonly collectedMs: number;
}

/** What loads the watch into a node. */
export const HOLD_WATCH = `--import=${fileURLToPath(new URL("hold-watch.js", import.meta.url))}`;

/** Where a node with this data folder writes what held it. */
export function holdsFile(data: string): string {
  return join(data, "holds");
}

/** What held a node from then on. */
export function holdsSince(data: string, sinceMs: number): Hold[] {
  let text = "";
  try {
    text = readFileSync(holdsFile(data), "utf8");
  } catch {
    // It has told none yet.
  }
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Hold).filter(({ atMs }) => atMs >= sinceMs);
}

/** The most that one hold had of something; zero without any. */
export function longestOf(holds: readonly Hold[], part: keyof Hold): number {
  return Math.max(0, ...holds.map((hold) => hold[part]));
}

/** The longest holds for people, and what they were. */
export function printHolds(holds: readonly Hold[], count: number): void {
  const longest = [...holds].sort((a, b) => b.heldMs - a.heldMs).slice(0, count);
  for (const { heldMs, ranMs, waitedMs, collectedMs } of longest)
    console.log(
      `  held for ${heldMs.toFixed(1)} ms: on a core ${ranMs.toFixed(1)}, waiting for one ${waitedMs.toFixed(1)}; collector ${collectedMs.toFixed(1)}`,
    );
}
