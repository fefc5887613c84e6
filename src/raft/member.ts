import type { RaftMember, RaftOptions, RaftStatus } from "./api.js";
import { EMPTY_CONF_STATE, toConfState } from "./conf/config.js";
import { Core } from "./core.js";
import { applied, drain, hasEffects, persisted } from "./drain.js";
import type { DropReason, DurableState, Effects, ProposeResult } from "./effects.js";
import { broken } from "./invariant.js";
import { checkInvariants } from "./invariants.js";
import type { Message } from "./message.js";
import { mutant } from "./mutants.js";
import { validateOptions } from "./options.js";
import { ProgressState, type Progress } from "./progress/progress.js";
import { campaignUnasked } from "./roles/election.js";
import { reportSnapshot, reportUnreachable } from "./roles/leader.js";
import { applyConfChange } from "./roles/membership.js";
import { awaitedBy } from "./roles/pair-commit.js";
import { propose, proposeConfChange } from "./roles/proposal.js";
import { readIndex } from "./roles/read-index.js";
import { endTransfer, transferLeader } from "./roles/transfer.js";
import { PRODUCTION_MODE } from "./state.js";
import { stepFromPeer } from "./step.js";
import { stalled, tick } from "./tick.js";
import {
  type ConfChange,
  type ConfState,
  type Entry,
  EntryKind,
  type Index,
  NONE,
  type RaftId,
  type SnapshotMeta,
} from "./types.js";

const STATE_NAMES = ["probe", "replicate", "snapshot"] as const;

/** `RaftMember` over a core. Every call that changes something ends with the cheap invariants (raft.md 2.13). */
export class Member implements RaftMember {
  constructor(readonly core: Core) {}

  tick(): void {
    tick(this.core);
    checkInvariants(this.core);
  }

  stalled(): void {
    stalled(this.core);
  }

  step(message: Message): void {
    stepFromPeer(this.core, message);
    checkInvariants(this.core);
  }

  propose(data: readonly Uint8Array[]): ProposeResult {
    return propose(this.core, data);
  }

  proposeConfChange(change: ConfChange, ifConfIndex?: Index): ProposeResult {
    return proposeConfChange(this.core, change, EntryKind.ConfChangeV2, ifConfIndex);
  }

  readIndex(request: number): void {
    readIndex(this.core, request);
  }

  awaitedBy(peer: RaftId, index: Index): boolean {
    return awaitedBy(this.core, peer, index);
  }

  transferLeader(target: RaftId): DropReason | null {
    return transferLeader(this.core, target);
  }

  campaign(): void {
    campaignUnasked(this.core);
    checkInvariants(this.core);
  }

  forgetLeader(): void {
    forgetLeader(this.core);
  }

  reportUnreachable(peer: RaftId): void {
    const { lead } = this.core;
    if (lead === null) return;
    reportUnreachable(this.core, lead, peer);
    if (lead.transfer?.target === peer) endTransfer(this.core, lead, "target-unreachable");
  }

  reportSnapshot(peer: RaftId, ok: boolean): void {
    if (this.core.lead !== null) reportSnapshot(this.core, peer, ok);
  }

  persisted(seq: number): void {
    persisted(this.core, seq);
    checkInvariants(this.core);
  }

  applied(index: Index): void {
    applied(this.core, index);
    checkInvariants(this.core);
  }

  applyConfChange(change: ConfChange | null): ConfState {
    const state = applyConfChange(this.core, change);
    checkInvariants(this.core);
    return state;
  }

  compact(index: Index): Index {
    return compact(this.core, index);
  }

  offerSnapshot(meta: SnapshotMeta | null): void {
    if (meta !== null && meta.index > this.core.log.committed) {
      broken("offered snapshot is committed state", meta.index, this.core.log.committed);
    }
    this.core.snapshotOffer = meta;
  }

  hasEffects(): boolean {
    return hasEffects(this.core);
  }

  drain(): Effects {
    return drain(this.core);
  }

  entries(from: Index, to: Index, bytesMax: number): readonly Entry[] {
    return this.core.log.slice(from, to, bytesMax);
  }

  status(): RaftStatus {
    return statusOf(this.core);
  }
}

/** A follower stops believing in its leader, so that it may vote at once. Not where leases lean on that belief. */
export function forgetLeader(core: Core): void {
  if (core.role !== "follower") return;
  if (core.options.readMode === "lease") {
    core.trace("ignoring forget-leader because of lease reads");
    return;
  }
  if (core.leader === NONE) return;
  core.trace(`forgetting leader ${core.leader} at term ${core.term}`);
  core.leader = NONE;
  core.failForwardedReads("no-leader");
}

/** Forgets the log up to `index`, but keeps what a peer needs after the snapshot on its way to it (lesson L42). */
export function compact(core: Core, index: Index): Index {
  let upTo = index;
  if (core.lead !== null && !mutant.logTailUnpinned) {
    const { items } = core.tracker;
    for (let i = 0; i < items.length; i++) {
      const progress = items[i] as Progress;
      if (progress.state === ProgressState.Snapshot && progress.pendingSnapshot < upTo)
        upTo = progress.pendingSnapshot;
    }
  }
  core.log.compactTo(upTo);
  if (core.lead !== null) checkPinned(core);
  return core.log.base;
}

/** Every peer that waits for a snapshot can go on from the log after it. */
function checkPinned(core: Core): void {
  const { items } = core.tracker;
  for (let i = 0; i < items.length; i++) {
    const { state, pendingSnapshot } = items[i] as Progress;
    if (state === ProgressState.Snapshot && pendingSnapshot < core.log.base && pendingSnapshot > 0) {
      broken("the log behind a snapshot in flight is kept", pendingSnapshot, core.log.base);
    }
  }
}

function statusOf(core: Core): RaftStatus {
  const { log, lead, tracker } = core;
  return {
    id: core.id,
    role: core.role,
    term: core.term,
    vote: core.vote,
    leader: core.leader,
    commit: log.committed,
    applied: log.applied,
    lastIndex: log.last,
    durableIndex: log.durable,
    firstIndex: log.first,
    config: toConfState(core.config),
    confIndex: core.confIndex,
    transferTarget: lead?.transfer?.target ?? NONE,
    progress:
      lead === null ? [] : tracker.ids.map((id, i) => progressStatus(id, tracker.items[i] as Progress)),
  };
}

function progressStatus(id: RaftId, progress: Progress): RaftStatus["progress"][number] {
  return {
    id,
    state: STATE_NAMES[progress.state],
    match: progress.match,
    next: progress.next,
    recentActive: progress.recentActive,
    isLearner: progress.isLearner,
    inflightMessages: progress.inflights.count,
    inflightBytes: progress.inflights.bytes,
  };
}

/**
 * Makes a member from what its disk holds. Throws RangeError for settings that `validateOptions` refuses, and
 * `InvariantError` for a durable state that cannot be.
 */
export function restoreRaft(options: RaftOptions, durable: DurableState): RaftMember {
  const problems = validateOptions(options);
  if (problems.length > 0) throw new RangeError(`raft settings: ${problems.join("; ")}`);
  return new Member(new Core(options, durable, PRODUCTION_MODE));
}

/** Index of the state that every founding member starts with. */
const BOOTSTRAP_INDEX = 1;

/**
 * The durable state of a founding member: an empty state machine at index 1 with the first configuration, as if a
 * snapshot had been installed. So a member that joins later, which starts from nothing, is always brought up by a
 * snapshot, and can never replay the log against a configuration that it was not founded with.
 */
export function foundingState(confState: ConfState): DurableState {
  return {
    hardState: { term: 1, vote: NONE, commit: BOOTSTRAP_INDEX },
    confState,
    confIndex: BOOTSTRAP_INDEX,
    snapshotIndex: BOOTSTRAP_INDEX,
    snapshotTerm: 1,
    entries: [],
    appliedIndex: BOOTSTRAP_INDEX,
  };
}

/** The durable state of a member that waits to be added to a group: nothing, not even a configuration. */
export function joiningState(): DurableState {
  return {
    hardState: { term: 0, vote: NONE, commit: 0 },
    confState: EMPTY_CONF_STATE,
    confIndex: 0,
    snapshotIndex: 0,
    snapshotTerm: 0,
    entries: [],
    appliedIndex: 0,
  };
}

/** Makes a founding member of a new group. The shell must have stored `foundingState` before anything leaves. */
export function createRaft(options: RaftOptions, confState: ConfState): RaftMember {
  return restoreRaft(options, foundingState(confState));
}
