import type { OutstandingBatch } from "../../src/raft/state.js";
import { describeMessageEntries, describeProgress } from "../../src/raft/describe.js";
import {
  describeSnapshot,
  type Entry,
  type HardState,
  type RaftId,
  type SnapshotMeta,
} from "../../src/raft/index.js";
import { type Progress, ProgressState } from "../../src/raft/progress/progress.js";
import type { Tracker } from "../../src/raft/progress/tracker.js";

const STATES = {
  [ProgressState.Probe]: "probe",
  [ProgressState.Replicate]: "replicate",
  [ProgressState.Snapshot]: "snapshot",
} as const;

/** One line for each member: `2: StateReplicate match=14 next=15 paused inflight=3[full]`. */
export function describeTracker(tracker: Tracker): string {
  return tracker.ids.map((id, i) => `${id}: ${progressLine(id, tracker.items[i] as Progress)}\n`).join("");
}

function progressLine(id: RaftId, progress: Progress): string {
  return describeProgress({
    id,
    state: STATES[progress.state],
    match: progress.match,
    next: progress.next,
    recentActive: progress.recentActive,
    isLearner: progress.isLearner,
    inflightMessages: progress.inflights.count,
    inflightBytes: progress.inflights.bytes,
    paused: progress.isPaused,
    full: progress.inflights.full,
    pendingSnapshot: progress.pendingSnapshot,
  });
}

export function indentLines(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}

/** The write of one batch, as the message to etcd's append thread. */
export function describeStorageAppend(
  from: RaftId,
  hardState: HardState | null,
  entries: readonly Entry[],
  snapshot: SnapshotMeta | null,
): string {
  let text = `${from.toString(16)}->AppendThread MsgStorageAppend Term:${hardState?.term ?? 0} Log:0/0`;
  if (hardState !== null && hardState.commit !== 0) text += ` Commit:${hardState.commit}`;
  if (hardState !== null && hardState.vote !== 0) text += ` Vote:${hardState.vote}`;
  text += describeMessageEntries(entries, "");
  if (snapshot !== null) text += `\n  Snapshot: ${describeSnapshot(snapshot)}`;
  return text;
}

/** What confirms the write, or null when there is nothing to confirm. */
export function describeStorageAppendResponse(to: RaftId, batch: OutstandingBatch): string | null {
  if (batch.lastIndex === 0 && batch.snapshot === null) return null;
  let text = `AppendThread->${to.toString(16)} MsgStorageAppendResp Term:${batch.term} Log:${batch.lastTerm}/${batch.lastIndex}`;
  if (batch.snapshot !== null) text += `\n  Snapshot: ${describeSnapshot(batch.snapshot)}`;
  return text;
}

export function describeStorageApply(from: RaftId, entries: readonly Entry[]): string {
  return `${from.toString(16)}->ApplyThread MsgStorageApply Term:0 Log:0/0${describeMessageEntries(entries, "")}`;
}

export function describeStorageApplyResponse(to: RaftId, entries: readonly Entry[]): string {
  return `ApplyThread->${to.toString(16)} MsgStorageApplyResp Term:0 Log:0/0${describeMessageEntries(entries, "")}`;
}

/** A message with the responses that follow its processing. */
export function withResponses(text: string, responses: readonly string[]): string {
  if (responses.length === 0) return text;
  return `${text} Responses:[${responses.map((r) => `\n${indentLines(r)}`).join("")}\n]`;
}
