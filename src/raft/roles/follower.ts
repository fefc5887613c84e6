import type { Core } from "../core.js";
import { broken } from "../invariant.js";
import { type Message, MessageKind } from "../message.js";
import { mutant } from "../mutants.js";
import { type Entry, NONE, type RaftId, type SnapshotMeta } from "../types.js";
import { hup } from "./election.js";
import { restoreConfigFrom } from "./membership.js";
import { handleDurable } from "./pair-commit.js";
import { handleReadIndexResponse } from "./read-index.js";

/** Messages of the present term, at a follower. */
export function stepFollower(core: Core, message: Message): void {
  switch (message.kind) {
    case MessageKind.Append:
      hearLeader(core, message.from);
      handleAppend(core, message);
      break;
    case MessageKind.Heartbeat:
      hearLeader(core, message.from);
      handleHeartbeat(core, message);
      break;
    case MessageKind.Snapshot:
      hearLeader(core, message.from);
      handleSnapshot(core, message);
      break;
    case MessageKind.Durable:
      hearLeader(core, message.from);
      handleDurable(core, message);
      break;
    case MessageKind.TimeoutNow:
      handleTimeoutNow(core, message);
      break;
    case MessageKind.TransferLeader:
    case MessageKind.ReadIndex:
      passOn(core, message);
      break;
    case MessageKind.ReadIndexResponse:
      handleReadIndexResponse(core, message);
      break;
    default:
      break;
  }
}

function hearLeader(core: Core, leader: RaftId): void {
  core.electionElapsed = 0;
  if (core.leader !== leader) core.setLeader(leader);
}

/** The sender took this member for the leader; a transfer goes on to whoever is, a read is refused. */
function passOn(core: Core, message: Message): void {
  if (message.kind === MessageKind.ReadIndex) {
    core.refuseRead(message.from, message.readRequest, "not-leader");
    return;
  }
  if (core.leader === NONE || message.reject) return;
  const forward = core.message(MessageKind.TransferLeader, core.leader);
  forward.index = message.index;
  core.send(forward);
}

/** An append from the leader of this term: take it, or say where the logs may still agree. */
export function handleAppend(core: Core, message: Message): void {
  const { log } = core;
  checkSlice(message);
  const answer = core.message(MessageKind.AppendResponse, message.from);
  answer.session = message.session;
  if (mutant.truncateCommitted && message.index < log.base) log.drop();
  if (message.index < log.committed && !mutant.truncateAtPrev) {
    // Old news: everything up to commit is here and final (lesson L11).
    answer.index = log.committed;
    core.send(answer);
    return;
  }
  if (log.matches(message.index, message.logTerm)) {
    log.accept(message.index, message.entries);
    const covered = message.index + message.entries.length;
    // What lies beyond the append may differ from the leader's log, so it is neither committed nor acknowledged (L10).
    log.commitTo(Math.min(message.commit, mutant.commitUnverifiedTail ? log.last : covered));
    answer.index = mutant.ackOwnLast ? log.last : covered;
    core.send(answer);
    return;
  }
  answer.index = message.index;
  answer.reject = true;
  const hint = log.conflictHint(Math.min(message.index, log.last), message.logTerm);
  answer.rejectHint = hint;
  const hintTerm = log.term(hint);
  answer.logTerm = hintTerm === -1 ? 0 : hintTerm;
  core.send(answer);
}

/** What every append must be: contiguous, terms never falling nor above the leader's (raft.md 2.13, 4). */
function checkSlice(message: Message): void {
  const { entries } = message;
  let term = message.logTerm;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as Entry;
    if (entry.index !== message.index + 1 + i)
      broken("append is contiguous", entry.index, message.index + 1 + i);
    if (entry.term < term) broken("terms never fall along an append", entry.term, term);
    term = entry.term;
  }
  if (term > message.term) broken("no entry above the leader's term", term, message.term);
}

/** Takes the leader's commit index, which it has cut to what this member is known to hold, and answers with the read position. */
export function handleHeartbeat(core: Core, message: Message): void {
  core.log.commitTo(message.commit);
  const answer = core.message(MessageKind.HeartbeatResponse, message.from);
  answer.readPosition = message.readPosition;
  core.send(answer);
}

/** A snapshot whose data the shell has received. */
export function handleSnapshot(core: Core, message: Message): void {
  const meta = message.snapshot;
  if (meta === null) return;
  const answer = core.message(MessageKind.AppendResponse, message.from);
  answer.session = message.session;
  answer.index = restoreSnapshot(core, meta) ? core.log.last : core.log.committed;
  core.send(answer);
}

/** False when there is nothing to install: it is old, the log already agrees with it, or it knows no such member. */
function restoreSnapshot(core: Core, meta: SnapshotMeta): boolean {
  const { log } = core;
  // A stale one would throw away what was acknowledged since (lesson L26).
  if (meta.index <= log.committed && !mutant.staleSnapshotInstalled) return false;
  const { voters, learners, votersOutgoing } = meta.confState;
  if (!voters.includes(core.id) && !learners.includes(core.id) && !votersOutgoing.includes(core.id)) {
    core.trace("refused a snapshot whose configuration does not name it");
    return false;
  }
  if (log.matches(meta.index, meta.term)) {
    core.trace(`fast-forwarded commit to snapshot [index: ${meta.index}, term: ${meta.term}]`);
    log.commitTo(meta.index);
    return false;
  }
  core.trace(`starts to restore snapshot [index: ${meta.index}, term: ${meta.term}]`);
  log.restore(meta);
  restoreConfigFrom(core, meta);
  return true;
}

/** At the target: campaign at once, without a pre-vote, or say that it cannot (lesson L37). */
function handleTimeoutNow(core: Core, message: Message): void {
  core.trace(`[term ${core.term}] received TimeoutNow from ${message.from}`);
  if (hup(core, "transfer") || core.mode.etcdRefusals) return;
  const refusal = core.message(MessageKind.TransferLeader, message.from);
  refusal.index = core.id;
  refusal.reject = true;
  core.send(refusal);
}
