import type { Core } from "../core.js";
import type { DropReason } from "../effects.js";
import { MessageKind } from "../message.js";
import { mutant } from "../mutants.js";
import type { Progress } from "../progress/progress.js";
import type { LeaderState } from "../state.js";
import { NONE, type RaftId } from "../types.js";
import { sendAppend } from "./replication.js";

/** A transfer asked for at this member: started here, or passed on to the leader. Null when it is under way. */
export function transferLeader(core: Core, target: RaftId): DropReason | null {
  if (core.lead !== null) return handleTransferRequest(core, core.lead, target);
  if (core.leader === NONE) return "no-leader";
  const forward = core.message(MessageKind.TransferLeader, core.leader);
  forward.index = target;
  core.send(forward);
  return null;
}

/** At the leader. The target must be a voter other than itself; a running transfer to somebody else is given up. */
export function handleTransferRequest(core: Core, lead: LeaderState, target: RaftId): DropReason | null {
  const progress = core.tracker.get(target);
  if (progress === undefined || progress.isLearner) return "target-not-voter";
  if (lead.transfer !== null) {
    if (lead.transfer.target === target) return null;
    endTransfer(core, lead, "superseded");
  }
  if (target === core.id) return "target-is-leader";
  core.trace(`[term ${core.term}] starts to transfer leadership to ${target}`);
  // It has one election timeout; the same counter ends it (lesson L37).
  core.electionElapsed = 0;
  lead.transfer = { target, term: core.term, sentTimeoutNow: false };
  if (progress.match === core.log.last) sendTimeoutNow(core, lead, target);
  else sendAppend(core, target, progress, true);
  return null;
}

function sendTimeoutNow(core: Core, lead: LeaderState, target: RaftId): void {
  // From here on the target may be elected past everybody's stickiness (lesson L38).
  if (!mutant.leaseDuringTransfer) lead.lease.end();
  core.send(core.message(MessageKind.TimeoutNow, target));
  if (lead.transfer !== null) lead.transfer.sentTimeoutNow = true;
}

/** The target has acknowledged entries: when it has all of them, it may campaign. */
export function transferCaughtUp(core: Core, lead: LeaderState, from: RaftId, progress: Progress): void {
  if (lead.transfer === null || lead.transfer.target !== from || progress.match !== core.log.last) return;
  sendTimeoutNow(core, lead, from);
}

/** Ends a transfer that will not happen, and says why. The leader serves again. */
export function endTransfer(core: Core, lead: LeaderState, reason: DropReason): void {
  const { transfer } = lead;
  if (transfer === null) return;
  lead.transfer = null;
  core.transferEnded = { target: transfer.target, reason };
}

/** The target says that it cannot campaign. */
export function transferRefused(core: Core, lead: LeaderState, from: RaftId): void {
  if (lead.transfer?.target === from) endTransfer(core, lead, "target-refused");
}

/** An election timeout has passed at the leader. */
export function transferDeadline(core: Core, lead: LeaderState): void {
  if (!mutant.transferNoDeadline) endTransfer(core, lead, "deadline");
}
