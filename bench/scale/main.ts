/**
 * `make bench-scale`: a million handles in ten thousand sessions on one node. First the state machine alone: what
 * takeover costs, and what a handle costs in memory. Then three real processes: start, takeover while others work,
 * restart, snapshot to an empty member. ONLY=snapshot: the sender's part of a snapshot in one process. ONLY=restart: one
 * node, a group of its own, started TIMES times from a full disk. Environment: SESSIONS, HANDLES (per session), ONLY (state,
 * live, snapshot or restart), TIMES, KEEP (folder that stays, with a disk to start from the next time: for restart), JSON
 * (file), PROFILE (folder for CPU profiles of the nodes), REALTIME=1 (survivors and clients at real-time priority while the
 * takeover is timed, on a machine that others use).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { liveScale } from "./live.js";
import { restartScale } from "./restart.js";
import { snapshotScale } from "./snapshot.js";
import { stateScale } from "./state-scale.js";

const options = {
  sessions: Number(process.env["SESSIONS"] || 10_000),
  handlesPerSession: Number(process.env["HANDLES"] || 100),
};
const only = process.env["ONLY"] || "";
const profile = process.env["PROFILE"] || "";
const figures: Record<string, number> = { ...options };

function note(name: string, value: number, unit: string, atMost?: number): void {
  const rounded = Math.round(value * 100) / 100;
  figures[name] = rounded;
  const verdict = atMost === undefined ? "" : `at most ${atMost}: ${rounded <= atMost ? "met" : "MISSED"}`;
  console.log(
    `${name.padEnd(58)}${rounded.toLocaleString("en-US").padStart(14)} ${unit.padEnd(6)}${verdict}`,
  );
}

if (!["", "state", "live", "snapshot", "restart"].includes(only))
  throw new Error(`ONLY=${only}: it is state, live, snapshot, restart, or left out`);
if (only === "" || only === "state") stateScale(options, note);
if (only !== "state") {
  global.gc?.();
  const keep = process.env["KEEP"] || "";
  if (keep !== "") mkdirSync(keep, { recursive: true });
  const folder = keep === "" ? mkdtempSync(join(tmpdir(), "holdfast-scale-")) : resolve(keep);
  const flags = profile === "" ? [] : ["--cpu-prof", `--cpu-prof-dir=${resolve(profile)}`];
  try {
    if (only === "snapshot") await snapshotScale(folder, options, note);
    else if (only === "restart") {
      await restartScale(folder, options, Number(process.env["TIMES"] || 3), note, flags);
    } else await liveScale(folder, options, note, flags);
  } finally {
    if (keep === "") rmSync(folder, { recursive: true, force: true });
  }
}
if (process.env["JSON"])
  writeFileSync(process.env["JSON"], JSON.stringify({ schemaVersion: 1, figures }, null, 2));
