import type { Core } from "./core.js";
import { hup } from "./roles/election.js";
import { checkQuorum } from "./roles/leader.js";
import { maybeAutoLeave } from "./roles/proposal.js";
import { tickForwardedReads } from "./roles/read-index.js";
import { broadcastHeartbeat } from "./roles/replication.js";
import { transferDeadline } from "./roles/transfer.js";

/** One tick of the clock. */
export function tick(core: Core): void {
  if (core.graceTicks > 0) core.graceTicks--;
  tickForwardedReads(core);
  tickTransferWatch(core);
  if (core.lead !== null) tickLeader(core);
  else tickElection(core);
}

function tickElection(core: Core): void {
  core.electionElapsed++;
  if (core.electionElapsed < core.randomizedTicks || !core.promotable) return;
  core.electionElapsed = 0;
  hup(core, core.options.preVote ? "pre-election" : "election");
}

function tickLeader(core: Core): void {
  core.heartbeatElapsed++;
  core.electionElapsed++;
  if (core.electionElapsed >= core.options.electionTicks) {
    core.electionElapsed = 0;
    if (core.options.checkQuorum) checkQuorum(core);
    // A target that has not taken over by now will not; the leader serves again.
    if (core.lead !== null) transferDeadline(core, core.lead);
    // One that took effect during a transfer could not be left then, and perhaps nothing is applied from now on (L30).
    if (!core.mode.etcdRefusals) maybeAutoLeave(core);
  }
  if (core.lead === null || core.heartbeatElapsed < core.options.heartbeatTicks) return;
  core.heartbeatElapsed = 0;
  broadcastHeartbeat(core, core.lead);
}

/** A deposed leader that never learns who followed it still tells how its transfer ended. */
function tickTransferWatch(core: Core): void {
  const watch = core.transferWatch;
  if (watch === null) return;
  watch.ticksLeft--;
  if (watch.ticksLeft > 0) return;
  core.transferWatch = null;
  core.transferEnded = { target: watch.target, reason: "deadline" };
}

/**
 * The loop was busy, so silence proves nothing: whoever waits for somebody, a follower for its leader or a leader for its
 * quorum, waits at least one heartbeat interval more (raft.md 2.5).
 */
export function stalled(core: Core): void {
  const { electionTicks, heartbeatTicks } = core.options;
  const deadline = core.lead !== null ? electionTicks : core.randomizedTicks;
  const latest = deadline - heartbeatTicks - 1;
  if (core.electionElapsed > latest) core.electionElapsed = Math.max(0, latest);
}
