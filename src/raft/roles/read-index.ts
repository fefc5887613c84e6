import type { Core } from "../core.js";
import { type Message, MessageKind } from "../message.js";
import { mutant } from "../mutants.js";
import type { LeaderState } from "../state.js";
import { type Index, NONE, type RaftId } from "../types.js";
import { readFloor } from "./pair-commit.js";
import { committedInTerm } from "./replication.js";

/** A read asked for at this member. */
export function readIndex(core: Core, request: number): void {
  const lead = core.lead;
  if (lead !== null) {
    leaderRead(core, lead, core.id, request);
    return;
  }
  if (core.role !== "follower" || core.leader === NONE) {
    core.failedReads.push({ request, reason: "no-leader" });
    return;
  }
  const forward = core.message(MessageKind.ReadIndex, core.leader);
  forward.term = 0;
  forward.readRequest = request;
  core.send(forward);
  core.forwardedReads.push({ request, ticksLeft: core.options.electionTicks });
}

/** At the leader: a read from here or from a follower. Held while commit may lag, in a single-node group too (L39). */
export function leaderRead(core: Core, lead: LeaderState, from: RaftId, request: number): void {
  if (!committedInTerm(core) && !mutant.readWithoutOwnTerm) {
    lead.reads.hold(from, request);
    return;
  }
  startRead(core, lead, from, request);
}

function startRead(core: Core, lead: LeaderState, from: RaftId, request: number): void {
  if (mutant.readWithoutQuorum || leaseValid(core, lead)) {
    answerRead(core, from, request, readFloor(core, lead));
    return;
  }
  lead.reads.add(from, request, readFloor(core, lead));
  lead.reads.acknowledge(core.id, lead.reads.lastPosition);
  // The round leaves at the end of the turn, one for all reads of the turn.
  lead.roundDue = true;
  confirmReads(core, lead);
}

function leaseValid(core: Core, lead: LeaderState): boolean {
  const { readMode, lease } = core.options;
  if (readMode !== "lease" || lease === undefined) return false;
  // The target of a transfer campaigns past everybody's stickiness (lesson L38).
  if (lead.transfer !== null && !mutant.leaseDuringTransfer) return false;
  return lead.lease.isValid(lease.nowMs());
}

/** An entry of the own term is committed: the reads that waited for it may start. */
export function releaseHeldReads(core: Core, lead: LeaderState): void {
  for (const { from, request } of lead.reads.takeHeld()) startRead(core, lead, from, request);
}

/** Answers all reads that a quorum has confirmed. */
export function confirmReads(core: Core, lead: LeaderState): void {
  const { lease } = core.options;
  if (core.options.readMode === "lease" && lease !== undefined) {
    if (mutant.leaseFromAck) lead.lease.confirmedAt(lease.nowMs(), lease.durationMs);
    else lead.lease.confirmed(lead.reads.confirmedPosition(core.config), lease.durationMs);
  }
  const confirmed = lead.reads.takeConfirmed(core.config);
  for (let i = 0; i < confirmed.length; i++) {
    const read = confirmed[i] as (typeof confirmed)[number];
    answerRead(core, read.from, read.request, read.index);
  }
}

function answerRead(core: Core, from: RaftId, request: number, index: Index): void {
  if (from === core.id) {
    core.reads.push({ request, index });
    return;
  }
  const answer = core.message(MessageKind.ReadIndexResponse, from);
  answer.readRequest = request;
  answer.index = index;
  core.send(answer);
}

/** At the follower: the leader's answer to a forwarded read. Answers to reads that were given up are dropped. */
export function handleReadIndexResponse(core: Core, message: Message): void {
  const at = core.forwardedReads.findIndex((read) => read.request === message.readRequest);
  if (at < 0) return;
  core.forwardedReads.splice(at, 1);
  if (message.reject) core.failedReads.push({ request: message.readRequest, reason: "leadership-lost" });
  else core.reads.push({ request: message.readRequest, index: message.index });
}

/** Gives up forwarded reads that got no answer within an election timeout. */
export function tickForwardedReads(core: Core): void {
  const reads = core.forwardedReads;
  if (reads.length === 0) return;
  let kept = 0;
  for (let i = 0; i < reads.length; i++) {
    const read = reads[i] as (typeof reads)[number];
    read.ticksLeft--;
    if (read.ticksLeft > 0) reads[kept++] = read;
    else core.failedReads.push({ request: read.request, reason: "deadline" });
  }
  reads.length = kept;
}
