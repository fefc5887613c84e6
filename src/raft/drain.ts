import type { Core } from "./core.js";
import type { Effects, PersistBatch, RoleChange } from "./effects.js";
import { broken } from "./invariant.js";
import { type Message, MessageKind } from "./message.js";
import { maybeAutoLeave } from "./roles/proposal.js";
import { commitByTwo, tellDurable } from "./roles/pair-commit.js";
import { broadcastHeartbeat } from "./roles/replication.js";
import { step } from "./step.js";
import type { OutstandingBatch } from "./state.js";
import { type Entry, EntryKind, type Index, type SnapshotMeta } from "./types.js";
import { mutant } from "./mutants.js";

function hardStateChanged(core: Core): boolean {
  const { term, vote, commit } = core.handedHardState;
  return term !== core.term || vote !== core.vote || commit !== core.log.committed;
}

function roleChanged(core: Core): boolean {
  const { role, term, leader } = core.handedRole;
  return role !== core.role || leader !== core.leader || term !== core.term;
}

/** Whether `drain` would have anything to say. */
export function hasEffects(core: Core): boolean {
  return (
    core.messages.length > 0 ||
    core.afterMessages.length > 0 ||
    core.log.hasUnhanded ||
    core.log.hasCommitted(core.mode.applyUndurable) ||
    (core.log.snapshot !== null && !core.log.snapshotHanded) ||
    (core.lead !== null && core.lead.roundDue) ||
    core.reads.length > 0 ||
    core.failedReads.length > 0 ||
    core.transferEnded !== null ||
    roleChanged(core) ||
    hardStateChanged(core)
  );
}

/** Hands out everything that the turn has produced. */
export function drain(core: Core): Effects {
  if (core.lead?.roundDue) broadcastHeartbeat(core, core.lead);
  let role: RoleChange | null = null;
  if (roleChanged(core)) {
    role = core.roleChange();
    core.handedRole = role;
  }
  const committed = takeCommitted(core);
  const persist = takeBatch(core);
  const effects: Effects = {
    role,
    messages: core.messages,
    persist,
    committed,
    reads: core.reads,
    failedReads: core.failedReads,
    transferEnded: core.transferEnded,
    snapshotTo: [],
  };
  core.messages = [];
  if (core.reads.length > 0) core.reads = [];
  if (core.failedReads.length > 0) core.failedReads = [];
  core.transferEnded = null;
  if (!core.mode.snapshotsInline) splitSnapshots(effects);
  return effects;
}

/** Committed entries that the own disk has; configuration changes among them are remembered until they are applied. */
function takeCommitted(core: Core): readonly Entry[] {
  const entries = core.log.takeCommitted(core.mode.applyUndurable);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as Entry;
    if (entry.kind !== EntryKind.Normal) core.confEntries.push(entry.index);
  }
  return entries;
}

function takeBatch(core: Core): PersistBatch | null {
  const { log } = core;
  const snapshot: SnapshotMeta | null = log.snapshotHanded ? null : log.snapshot;
  const changed = hardStateChanged(core);
  if (!changed && !log.hasUnhanded && snapshot === null && core.afterMessages.length === 0) return null;
  // Before the entries are handed out: what the end of the log will be confirmed as.
  const undurable = log.durable < log.last;
  const entries = log.hasUnhanded ? log.takeUnhanded() : NO_BATCH_ENTRIES;
  const previous = core.handedHardState;
  const hardState = changed ? core.hardState() : null;
  if (hardState !== null) core.handedHardState = hardState;
  if (snapshot !== null) log.snapshotHanded = true;
  const seq = ++core.seq;
  const queued = core.afterMessages;
  const { self, after } = splitSelf(core);
  const batch: OutstandingBatch = {
    seq,
    term: core.term,
    lastIndex: undurable ? log.last : 0,
    lastTerm: undurable ? log.lastTerm : 0,
    snapshot,
    self,
    queued,
  };
  core.outstanding.push(batch);
  const identityChanged =
    hardState !== null && (hardState.term !== previous.term || hardState.vote !== previous.vote);
  return {
    seq,
    hardState,
    entries,
    snapshot,
    mustSync: entries.length > 0 || identityChanged || snapshot !== null,
    after,
  };
}

const NO_BATCH_ENTRIES: readonly Entry[] = Object.freeze([]);
const NO_MESSAGES: readonly Message[] = Object.freeze([]);

/** What this member acknowledges to itself stays in the core until the batch is durable. */
function splitSelf(core: Core): { self: readonly Message[]; after: readonly Message[] } {
  const all = core.afterMessages;
  core.afterMessages = [];
  if (all.length === 0) return { self: NO_MESSAGES, after: NO_MESSAGES };
  let selfCount = 0;
  for (let i = 0; i < all.length; i++) if ((all[i] as Message).to === core.id) selfCount++;
  if (selfCount === 0) return { self: NO_MESSAGES, after: all };
  if (selfCount === all.length) return { self: all, after: NO_MESSAGES };
  const self: Message[] = [];
  const after: Message[] = [];
  for (const message of all) (message.to === core.id ? self : after).push(message);
  return { self, after };
}

/** Snapshot messages go by a stream of their own. */
function splitSnapshots(effects: Effects): void {
  const { messages } = effects;
  let kept = 0;
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i] as Message;
    if (message.kind === MessageKind.Snapshot && message.snapshot !== null) {
      effects.snapshotTo.push({ to: message.to, meta: message.snapshot, message });
    } else {
      messages[kept++] = message;
    }
  }
  messages.length = kept;
}

/** Batches up to `seq` are durable: what this member acknowledges to itself takes effect, in order (L20, L27, L28). */
export function persisted(core: Core, seq: number): void {
  if (seq > core.seq) broken("only batches that were handed out become durable", seq, core.seq);
  if (seq <= core.ackedSeq) broken("batches become durable in order, each once", seq, core.ackedSeq);
  core.ackedSeq = seq;
  while (
    core.outstanding.length > 0 &&
    (mutant.completionsUncounted || (core.outstanding[0] as OutstandingBatch).seq <= seq)
  ) {
    const batch = core.outstanding.shift() as OutstandingBatch;
    for (let i = 0; i < batch.self.length; i++) step(core, batch.self[i] as Message);
    confirmBatch(core, batch);
  }
  if (core.lead === null) commitByTwo(core);
  else tellDurable(core, core.lead);
}

/**
 * The entries that the log held when the batch was handed out are durable, if the term has not changed since: in a later
 * term a replaced suffix may have come back with equal (index, term), and its newest write may still be under way (L27).
 * Each term begins with a batch of its own, so nothing stays unconfirmed. A snapshot is committed state in any term.
 */
export function confirmBatch(core: Core, batch: OutstandingBatch): void {
  if (batch.lastIndex !== 0 && batch.term === core.term) {
    core.log.durableTo(batch.lastIndex, batch.lastTerm);
  }
  if (batch.snapshot === null) return;
  const { index } = batch.snapshot;
  core.log.snapshotInstalled(index);
  if (index > core.log.applied) {
    core.log.appliedBySnapshot(index);
    maybeAutoLeave(core);
  }
}

/** The state machine has applied everything up to `index`. */
export function applied(core: Core, index: Index): void {
  const { log } = core;
  // A snapshot installed meanwhile may have overtaken it.
  if (index <= log.applied) return;
  if (index > log.applying) broken("only what was handed out is applied", index, log.applying);
  const conf = core.confEntries[0];
  if (conf !== undefined && conf <= index)
    broken("applyConfChange is called before applied covers it", conf, index);
  log.appliedTo(index);
  maybeAutoLeave(core);
}
