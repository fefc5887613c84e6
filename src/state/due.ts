import { v1 } from "../wire/index.js";
import { bytesOf } from "./ids.js";
import type { Store, TimedRow } from "./store.js";
import { mutant } from "./mutants.js";
import { takeoverCommands } from "./mechanics/takeover.js";
import { LeaseRow } from "./tables/leases.js";
import { KeyRow } from "./tables/resume-keys.js";
import type { SessionRow } from "./tables/sessions.js";

/** By how much the planted bug is early. */
const HASTE_MS = 300;

/**
 * Handles looked at in one call. After a load, and one timeout after a takeover, every session is due for a look: a million
 * handles in one go would hold a leader for a tenth of a second and more. What is left is due at the next tick.
 */
const LOOKS_MAX = 20_000;

/**
 * Commands that time makes due, up to `limit`. The same again until they are applied: a proposal may be lost with its
 * leader. Rows stay in the queue for that, and for their next deadline.
 */
export function dueCommands(store: Store, atMs: number, limit: number): v1.ICommand[] {
  // Planted here too: the check at the expiry itself only sees a leader that was wrong already.
  const nowMs = mutant.expireEarly ? atMs + HASTE_MS : atMs;
  const commands: v1.ICommand[] = takeoverCommands(store.takeovers);
  const seen: [row: TimedRow, nextMs: number][] = [];
  let looks = 0;
  while (commands.length < limit && looks < LOOKS_MAX) {
    const row = store.deadlines.take(nowMs);
    if (row === null) break;
    if (row.gone) continue;
    looks += "handles" in row ? row.handles.size : 1;
    seen.push([row, collect(row, nowMs, limit, commands)]);
  }
  for (const [row, nextMs] of seen) store.deadlines.schedule(row, nextMs);
  return commands;
}

/** Adds what is due for the row; answers when to look at it again. */
function collect(row: TimedRow, nowMs: number, limit: number, commands: v1.ICommand[]): number {
  if (row instanceof LeaseRow) return collectBreak(row, nowMs, commands);
  if (row instanceof KeyRow) return collectKey(row, nowMs, commands);
  return collectSession(row, nowMs, limit, commands);
}

function collectBreak(lease: LeaseRow, nowMs: number, commands: v1.ICommand[]): number {
  const r = lease.r;
  if (!r.breaking || r.stored || r.breakDeadlineMs === 0) return Number.POSITIVE_INFINITY;
  if (r.breakDeadlineMs <= nowMs)
    commands.push({ expireBreak: { clientGuid: r.clientGuid, key: r.key, epoch: r.epoch } });
  return r.breakDeadlineMs;
}

function collectKey(key: KeyRow, nowMs: number, commands: v1.ICommand[]): number {
  if (key.deadlineMs === 0) return Number.POSITIVE_INFINITY;
  if (key.deadlineMs <= nowMs)
    commands.push({ expireKey: { key: key.key, epoch: key.epoch, deadlineMs: key.deadlineMs } });
  return key.deadlineMs;
}

/** The session itself, or those of its handles whose own deadline has passed. */
function collectSession(session: SessionRow, nowMs: number, limit: number, commands: v1.ICommand[]): number {
  const r = session.r;
  if (!r.connected && r.deadlineMs !== 0 && r.deadlineMs <= nowMs) {
    commands.push({ expireSession: { sessionId: r.id, connection: r.connection, epoch: r.epoch } });
    return r.deadlineMs;
  }
  let nextMs = r.connected || r.deadlineMs === 0 ? Number.POSITIVE_INFINITY : r.deadlineMs;
  for (const handle of session.handles) {
    if (!handle.isOpen) continue;
    const deadlineMs = handle.deadlineMs();
    if (deadlineMs === 0) continue;
    nextMs = Math.min(nextMs, deadlineMs);
    if (deadlineMs > nowMs || commands.length >= limit) continue;
    commands.push({
      expireHandle: { handleId: bytesOf(handle.id), connection: handle.connection, deadlineMs },
    });
  }
  return nextMs;
}

/** When to look at a row that was loaded from disk: soon enough for whatever it waits for. */
export function firstLookMs(row: TimedRow): number {
  if (row instanceof LeaseRow)
    return row.r.breaking && !row.r.stored ? row.r.breakDeadlineMs : Number.POSITIVE_INFINITY;
  if (row instanceof KeyRow) return row.deadlineMs === 0 ? Number.POSITIVE_INFINITY : row.deadlineMs;
  return row.handles.size === 0 && row.r.connected ? Number.POSITIVE_INFINITY : 0;
}
