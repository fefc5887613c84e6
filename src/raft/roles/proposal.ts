import { decodeConfChange, encodeConfChange, LEAVE_JOINT } from "../conf/codec.js";
import { isJoint } from "../conf/config.js";
import type { Core } from "../core.js";
import type { DropReason, ProposeResult } from "../effects.js";
import { broken } from "../invariant.js";
import { MessageKind } from "../message.js";
import { mutant } from "../mutants.js";
import type { LeaderState } from "../state.js";
import { type ConfChange, Entry, EntryKind, type Index, NONE } from "../types.js";
import { broadcastAppend, committedInTerm, maybeCommit } from "./replication.js";
import { releaseHeldReads } from "./read-index.js";
import { payloadBytes } from "../log/size.js";

/** The data of entries that carry none. */
export const EMPTY_DATA = new Uint8Array(0);

function refused(core: Core, reason: DropReason): ProposeResult {
  return { ok: false, reason, leader: core.leader };
}

/** Why this member cannot take proposals right now, or null. */
function proposalObstacle(core: Core): DropReason | null {
  const { lead } = core;
  if (lead === null) return core.leader === NONE ? "no-leader" : "not-leader";
  // Removed from the configuration while still leading.
  if (core.tracker.get(core.id) === undefined) return "not-in-configuration";
  if (lead.transfer !== null) return "transfer-in-progress";
  return null;
}

/** Appends one normal entry for each element, or says why not. */
export function propose(core: Core, data: readonly Uint8Array[]): ProposeResult {
  if (data.length === 0) throw new RangeError("a proposal needs at least one entry, but got none");
  const obstacle = proposalObstacle(core);
  if (obstacle !== null) return refused(core, obstacle);
  const first = core.log.last + 1;
  const entries = new Array<Entry>(data.length);
  for (let i = 0; i < data.length; i++) {
    entries[i] = new Entry(core.term, first + i, EntryKind.Normal, data[i] as Uint8Array);
  }
  return proposeEntries(core, core.lead as LeaderState, entries);
}

/** Entries passed on by a follower: numbered anew, and checked like the leader's own. */
export function proposeForwarded(core: Core, drafts: readonly Entry[]): ProposeResult {
  const obstacle = proposalObstacle(core);
  if (obstacle !== null) return refused(core, obstacle);
  const lead = core.lead as LeaderState;
  const first = core.log.last + 1;
  const entries: Entry[] = [];
  for (const draft of drafts) {
    const index = first + entries.length;
    if (draft.kind === EntryKind.Normal) {
      entries.push(new Entry(core.term, index, EntryKind.Normal, draft.data));
      continue;
    }
    if (!core.mode.etcdRefusals && !committedInTerm(core)) return refused(core, "conf-change-pending");
    const entry = confChangeEntry(core, lead, decodeConfChange(draft), draft.kind, index);
    if (entry === null) return refused(core, "conf-change-pending");
    entries.push(entry);
  }
  return proposeEntries(core, lead, entries);
}

function proposeEntries(core: Core, lead: LeaderState, entries: readonly Entry[]): ProposeResult {
  const bytes = payloadBytes(entries);
  // An empty tail takes anything, or one large entry could never be proposed; empty payloads always pass, because the
  // first entry of a term and the end of a joint configuration must (lesson L17).
  const over =
    lead.uncommittedBytes > 0 &&
    bytes > 0 &&
    lead.uncommittedBytes + bytes > core.options.uncommittedBytesMax;
  if (over && !mutant.uncommittedUnbounded) return refused(core, "uncommitted-limit");
  const index = core.log.last + 1;
  appendOwn(core, lead, entries);
  broadcastAppend(core);
  return { ok: true, index, term: core.term };
}

/** Appends entries of the own term. They count for commit when the own disk has them, through the persist batch. */
export function appendOwn(core: Core, lead: LeaderState, entries: readonly Entry[]): void {
  lead.uncommittedBytes += payloadBytes(entries);
  core.log.append(entries);
  const ack = core.message(MessageKind.AppendResponse, core.id);
  ack.index = core.log.last;
  core.send(ack);
  if (mutant.selfCountBeforeDurable) {
    core.tracker.get(core.id)?.update(core.log.last);
    if (maybeCommit(core, lead)) releaseHeldReads(core, lead);
  }
}

/** Proposes a membership change. */
export function proposeConfChange(
  core: Core,
  change: ConfChange,
  kind: EntryKind,
  ifConfIndex: Index | undefined,
): ProposeResult {
  const obstacle = proposalObstacle(core);
  if (obstacle !== null) return refused(core, obstacle);
  const lead = core.lead as LeaderState;
  if (ifConfIndex !== undefined && ifConfIndex !== core.confIndex) return refused(core, "superseded");
  // Until an entry of the own term is committed, a change of an earlier leader may still come true (lesson L29).
  if (!core.mode.etcdRefusals && !committedInTerm(core)) return refused(core, "conf-change-pending");
  const before = lead.pendingConfIndex;
  const entry = confChangeEntry(core, lead, change, kind, core.log.last + 1);
  if (entry === null) return refused(core, "conf-change-pending");
  const result = proposeEntries(core, lead, [entry]);
  // Nothing was appended: no later change needs to wait for it.
  if (!result.ok) lead.pendingConfIndex = before;
  return result;
}

/** The entry of a membership change, an empty one in its place where etcd would append that, or null when refused. */
function confChangeEntry(
  core: Core,
  lead: LeaderState,
  change: ConfChange,
  kind: EntryKind,
  index: Index,
): Entry | null {
  const problem = confChangeProblem(core, lead, change);
  if (problem === null || !core.options.confChangeValidation) {
    if (core.options.confChangeValidation && core.log.hasConfChangeAbove(core.log.applied)) {
      broken("one configuration change at a time", index, core.log.applied);
    }
    lead.pendingConfIndex = index;
    return new Entry(core.term, index, kind, encodeConfChange(change));
  }
  core.trace(`ignoring conf change: ${problem}`);
  return core.mode.etcdRefusals ? new Entry(core.term, index, EntryKind.Normal, EMPTY_DATA) : null;
}

/** One change at a time, in the log but not yet applied; joint configurations are left before anything else. */
function confChangeProblem(core: Core, lead: LeaderState, change: ConfChange): string | null {
  if (lead.pendingConfIndex > core.log.applied && !mutant.confChangeOverlap) {
    return `possible unapplied conf change at index ${lead.pendingConfIndex} (applied to ${core.log.applied})`;
  }
  const wantsLeave = change.changes.length === 0;
  if (isJoint(core.config) && !wantsLeave) return "must transition out of joint config first";
  if (!isJoint(core.config) && wantsLeave) return "not in joint state; refusing empty conf change";
  return null;
}

/**
 * Leaves a joint configuration that wants to be left, as soon as its entry is applied. Derived from the state by every
 * leader each time something is applied, and once an election timeout, never a one-shot event: a leader that dies in
 * between loses nothing (L30, L31).
 */
export function maybeAutoLeave(core: Core): void {
  const { lead } = core;
  if (lead === null || !core.config.autoLeave || core.log.applied < lead.pendingConfIndex) return;
  if (mutant.autoLeaveLost && core.log.term(core.confIndex) !== core.term) return;
  if (!core.mode.etcdRefusals && !committedInTerm(core)) return;
  if (proposalObstacle(core) !== null) return;
  const entry = confChangeEntry(core, lead, LEAVE_JOINT, EntryKind.ConfChangeV2, core.log.last + 1);
  if (entry !== null) proposeEntries(core, lead, [entry]);
}
