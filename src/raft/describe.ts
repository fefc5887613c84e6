import { describeChanges, decodeConfChange } from "./conf/codec.js";
import type { RaftStatus } from "./api.js";
import type { PersistBatch, Role } from "./effects.js";
import { type Message, MessageKind } from "./message.js";
import {
  type ConfState,
  type Entry,
  EntryKind,
  type HardState,
  type RaftId,
  type SnapshotMeta,
} from "./types.js";

/**
 * Printers for logs and golden tests, deterministic, in the notation that etcd's raft uses: whoever reads its logs can
 * read ours, and its test files can be compared to the letter.
 */
export const MESSAGE_NAMES: Record<MessageKind, string> = {
  [MessageKind.Append]: "MsgApp",
  [MessageKind.AppendResponse]: "MsgAppResp",
  [MessageKind.Vote]: "MsgVote",
  [MessageKind.VoteResponse]: "MsgVoteResp",
  [MessageKind.PreVote]: "MsgPreVote",
  [MessageKind.PreVoteResponse]: "MsgPreVoteResp",
  [MessageKind.Heartbeat]: "MsgHeartbeat",
  [MessageKind.HeartbeatResponse]: "MsgHeartbeatResp",
  [MessageKind.Snapshot]: "MsgSnap",
  [MessageKind.TimeoutNow]: "MsgTimeoutNow",
  [MessageKind.TransferLeader]: "MsgTransferLeader",
  [MessageKind.ReadIndex]: "MsgReadIndex",
  [MessageKind.ReadIndexResponse]: "MsgReadIndexResp",
  [MessageKind.Propose]: "MsgProp",
  [MessageKind.ForgetLeader]: "MsgForgetLeader",
  [MessageKind.Durable]: "MsgDurable",
};

const ROLE_NAMES: Record<Role, string> = {
  follower: "StateFollower",
  "pre-candidate": "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
};

const ENTRY_NAMES = ["EntryNormal", "EntryConfChange", "EntryConfChangeV2"];

const PROGRESS_NAMES = { probe: "StateProbe", replicate: "StateReplicate", snapshot: "StateSnapshot" };

/** How the data of normal entries is shown. */
export type DataFormatter = (data: Uint8Array) => string;

const ESCAPES: Record<number, string> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

/** Bytes as a quoted string, with escapes for everything that is not printable. */
export function quoteData(data: Uint8Array): string {
  let text = '"';
  for (const char of new TextDecoder("utf-8", { fatal: false }).decode(data)) {
    const code = char.codePointAt(0) ?? 0;
    const escape = ESCAPES[code];
    if (escape !== undefined) text += escape;
    else if (code < 0x20 || code === 0x7f) text += `\\x${code.toString(16).padStart(2, "0")}`;
    else text += char;
  }
  return `${text}"`;
}

/** The role in the words of etcd's test files: `StateLeader`. */
export function describeRole(role: Role): string {
  return ROLE_NAMES[role];
}

/** `Term:1 Vote:2 Commit:3`; without a vote the word is left out, as in etcd's test files. */
export function describeHardState(state: HardState): string {
  const vote = state.vote === 0 ? "" : ` Vote:${state.vote}`;
  return `Term:${state.term}${vote} Commit:${state.commit}`;
}

/** `Voters:[1 2 3] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false`. */
export function describeConfState(state: ConfState): string {
  const list = (ids: readonly RaftId[]): string => `[${ids.join(" ")}]`;
  return (
    `Voters:${list(state.voters)} VotersOutgoing:${list(state.votersOutgoing)} Learners:${list(state.learners)} ` +
    `LearnersNext:${list(state.learnersNext)} AutoLeave:${state.autoLeave}`
  );
}

/** `Index:5 Term:1 ConfState:...`. */
export function describeSnapshot(meta: SnapshotMeta): string {
  return `Index:${meta.index} Term:${meta.term} ConfState:${describeConfState(meta.confState)}`;
}

/** `1/12 EntryNormal "data"`: term, index, kind, content. */
export function describeEntry(entry: Entry, format: DataFormatter = quoteData): string {
  const content = entry.kind === EntryKind.Normal ? format(entry.data) : describeConfChangeEntry(entry);
  return `${entry.term}/${entry.index} ${ENTRY_NAMES[entry.kind]}${content === "" ? "" : ` ${content}`}`;
}

function describeConfChangeEntry(entry: Entry): string {
  try {
    return describeChanges(decodeConfChange(entry).changes);
  } catch (error) {
    return (error as Error).message;
  }
}

/** One line for each entry. */
export function describeEntries(entries: readonly Entry[], format: DataFormatter = quoteData): string {
  return entries.map((entry) => `${describeEntry(entry, format)}\n`).join("");
}

/** `1->2 MsgApp Term:1 Log:1/11 Commit:11 Entries:[...]`. */
export function describeMessage(message: Message, format: DataFormatter = quoteData): string {
  // The target of a transfer travels in `index`, which is not a position of the log.
  const index = message.kind === MessageKind.TransferLeader ? 0 : message.index;
  let text =
    `${message.from.toString(16)}->${message.to.toString(16)} ${MESSAGE_NAMES[message.kind]} ` +
    `Term:${message.term} Log:${message.logTerm}/${index}`;
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit !== 0) text += ` Commit:${message.commit}`;
  text += describeMessageEntries(message.entries, "", format);
  if (message.snapshot !== null) text += `\n  Snapshot: ${describeSnapshot(message.snapshot)}`;
  return text;
}

/** The entries of a message: one inline, several on lines of their own. */
export function describeMessageEntries(
  entries: readonly Entry[],
  indent: string,
  format: DataFormatter = quoteData,
): string {
  if (entries.length === 0) return "";
  if (entries.length === 1) return ` Entries:[${describeEntry(entries[0] as Entry, format)}]`;
  return ` Entries:[${entries.map((entry) => `\n${indent}  ${describeEntry(entry, format)}`).join("")}\n${indent}]`;
}

/** One persist batch in a line, for logs. */
export function describeBatch(batch: PersistBatch): string {
  const parts = [`batch ${batch.seq}`];
  if (batch.hardState !== null) parts.push(describeHardState(batch.hardState));
  if (batch.snapshot !== null) parts.push(`snapshot ${batch.snapshot.term}/${batch.snapshot.index}`);
  const first = batch.entries[0];
  const last = batch.entries[batch.entries.length - 1];
  if (first !== undefined && last !== undefined) parts.push(`entries ${first.index}..${last.index}`);
  parts.push(batch.mustSync ? "sync" : "no sync", `${batch.after.length} after`);
  return parts.join(", ");
}

/** `StateReplicate match=14 next=15 paused inflight=3[full]`, from the status of a leader. */
export function describeProgress(
  progress: RaftStatus["progress"][number] & { paused?: boolean; full?: boolean; pendingSnapshot?: number },
): string {
  let text = `${PROGRESS_NAMES[progress.state]} match=${progress.match} next=${progress.next}`;
  if (progress.isLearner) text += " learner";
  if (progress.paused) text += " paused";
  if (progress.pendingSnapshot) text += ` pendingSnap=${progress.pendingSnapshot}`;
  if (!progress.recentActive) text += " inactive";
  if (progress.inflightMessages > 0)
    text += ` inflight=${progress.inflightMessages}${progress.full ? "[full]" : ""}`;
  return text;
}
