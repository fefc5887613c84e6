import type { Meter } from "../runtime/api.js";
import type { LeaderInfo, ReplicaStatus } from "./api.js";

/** Says how the replica stands. */
export function setGauges(meter: Meter, status: ReplicaStatus, role: LeaderInfo, reads: number): void {
  const { raft } = status;
  meter.gauge("raft_term", raft.term);
  meter.gauge("raft_is_leader", role.isLeader ? 1 : 0);
  meter.gauge("raft_commit_index", raft.commit);
  meter.gauge("raft_applied_index", raft.applied);
  meter.gauge("raft_log_entries", raft.lastIndex - status.snapshotIndex);
  meter.gauge("proposals_pending", status.pendingProposals);
  meter.gauge("reads_pending", reads);
}
