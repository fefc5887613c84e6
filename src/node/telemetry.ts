import type { PromMeter } from "../runtime/index.js";
import type { Replica } from "../replica/api.js";
import { FAILOVER_METRICS_HELP, failoverGauges } from "./failover-metrics.js";
import type { LoopDelay } from "./loop-delay.js";

/** What the gauges are read from at each scrape. */
export interface TelemetrySources {
  readonly meter: PromMeter;
  readonly replica: Replica;
  readonly loopDelay: LoopDelay;
  readonly name: string;
  leaseLeftMs(): number | undefined;
  logLinesDropped(): number;
}

/** Help texts of all metrics, of those too that components count by themselves: to be known before the first of them does. */
const HELP: Readonly<Record<string, string>> = {
  raft_term: "Present Raft term",
  raft_is_leader: "1 while this node leads",
  raft_commit_index: "Highest committed log index known here",
  raft_applied_index: "Highest log index applied to the state",
  raft_lag_entries: "Committed entries that are not applied here yet",
  raft_log_entries: "Log entries behind the latest snapshot",
  entries_applied: "Log entries applied since the start",
  elections_started: "Elections that this node has begun",
  leader_self_demotions: "Times that this node gave up leadership because its disk or its event loop stalled",
  proposals_pending: "Proposals that wait here for their result",
  proposals_overloaded: "Proposals refused because too many were waiting",
  reads_pending: "Linearizable reads that wait here for their position",
  coordinator_stalls:
    "Looks at the lease promises that came late, after which nothing is revoked for a moment",
  leases_revoked: "Promises to file nodes that this coordinator has revoked",
  peer_connected: "1 while the link to this peer stands",
  peer_incoming_links: "Links that peers have opened to this node",
  peer_links_refused: "Links of peers refused at the handshake",
  peer_frames_dropped: "Frames to this peer that were dropped because its link was full or down",
  sessions: "Sessions in the replicated state",
  handles: "Handles in the replicated state",
  resume_keys: "Resume keys in the replicated state",
  locks: "Byte-range locks in the replicated state",
  sessions_owned: "Sessions owned by this node",
  lease_left_ms: "What is left of this file node's lease; zero or less: not held",
  event_loop_delay_ms: "How late the event loop ran",
  event_loop_stalls: "Times that the event loop was held so long that silence of others meant nothing",
  event_loop_delay_p99_ms: "99th percentile of the event loop's delay in the last seconds",
  event_loop_delay_max_ms: "Longest delay of the event loop in the last seconds",
  fsync_ms: "Time of one synced write batch",
  storage_failures: "Writes that failed; the first one stops the node",
  disk_free_bytes: "Free space where the data folder is",
  disk_full: "1 while commands that need space are refused",
  disk_writes_without_space: "Writes that found no space and were written again",
  log_lines_dropped: "Log lines dropped because the disk did not take them",
  process_resident_bytes: "Resident memory of the process",
  process_cpu_seconds: "Processor time used by the process",
};

/** Gives a meter the help texts of a node's metrics; before anything is measured with it. */
export function describeMetrics(meter: PromMeter): void {
  for (const [name, help] of Object.entries({ ...HELP, ...FAILOVER_METRICS_HELP }))
    meter.describe(name, help);
}

/** Answers what /metrics serves: gauges are read when they are asked for, so that nothing runs in between. */
export function metricsText(sources: TelemetrySources): () => Promise<string> {
  const { meter, replica, loopDelay } = sources;
  return () => {
    const status = replica.status();
    const { raft } = status;
    const counts = replica.state.counts();
    const cpu = process.cpuUsage();
    const lease = sources.leaseLeftMs();
    const gauges: Record<string, number> = {
      raft_term: raft.term,
      raft_is_leader: raft.role === "leader" ? 1 : 0,
      raft_commit_index: raft.commit,
      raft_applied_index: raft.applied,
      raft_lag_entries: Math.max(0, raft.commit - raft.applied),
      proposals_pending: status.pendingProposals,
      sessions: counts.sessions,
      handles: counts.handles,
      resume_keys: counts.keys,
      locks: counts.locks,
      sessions_owned: replica.state.sessionCountOf(sources.name),
      event_loop_delay_p99_ms: loopDelay.percentileMs(99),
      event_loop_delay_max_ms: loopDelay.percentileMs(100),
      log_lines_dropped: sources.logLinesDropped(),
      process_resident_bytes: process.memoryUsage.rss(),
      process_cpu_seconds: (cpu.user + cpu.system) / 1e6,
      ...(lease === undefined ? {} : { lease_left_ms: lease }),
    };
    for (const [name, value] of Object.entries(gauges)) meter.gauge(name, value);
    failoverGauges(meter, replica.state.failovers());
    return meter.text();
  };
}
