import type { Replica } from "../replica/api.js";
import { DISK_LOW, NO_LEADER } from "../replica/problems.js";
import type { v1 } from "../wire/index.js";
import type { NodeConfig } from "./config.js";
import type { LoopDelay } from "./loop-delay.js";
import { version } from "./version.js";

/** What `GetStatus` and the gauges look at. */
export interface StateSources {
  readonly config: NodeConfig;
  readonly replica: Replica;
  readonly loopDelay: LoopDelay;
  /** Of the file node; zero without that role. */
  incarnation(): number;
  readonly formatVersion: number;
  /** Undefined without the file node's role. */
  leaseLeftMs(): number | undefined;
  /** Why the file node asks for no lease; empty when nothing is wrong. */
  withheld(): string;
  stopping(): boolean;
}

/** This node as `holdfast status` shows it; needs nobody else. */
export function nodeState(sources: StateSources): v1.INodeState {
  const { config, replica, loopDelay } = sources;
  const status = replica.status();
  const { raft } = status;
  const leader = replica.leader();
  const loopP99Ms = loopDelay.percentileMs(99);
  const lease = sources.leaseLeftMs();
  const errors = [...status.errors];
  if (lease !== undefined && lease <= 0) errors.push("the node lease is not held: files are not served");
  errors.push(...ownProblems(sources));
  const learner = raft.config.learners.includes(raft.id) || raft.config.learnersNext.includes(raft.id);
  return {
    name: config.name,
    clusterId: config.cluster.id,
    version,
    raftId: raft.id,
    incarnation: sources.incarnation(),
    role: learner && raft.role === "follower" ? "learner" : raft.role,
    leader: memberName(replica, leader.leaderId),
    term: raft.term,
    commit: raft.commit,
    applied: raft.applied,
    lastIndex: raft.lastIndex,
    lagEntries: Math.max(0, raft.commit - raft.applied),
    fsyncP99Ms: status.fsyncP99Ms,
    loopP99Ms,
    snapshotIndex: status.snapshotIndex,
    formatVersion: sources.formatVersion,
    errors,
    grpcAddress: config.advertise.grpc,
    httpAddress: config.advertise.http,
    roles: config.roles,
    health: sources.stopping()
      ? "not-ready"
      : errors.length === 0
        ? "ok"
        : leader.leaderId === 0
          ? "not-ready"
          : "degraded",
    uptimeMs: Math.round(process.uptime() * 1_000),
    sessionsOwned: replica.state.sessionCountOf(config.name),
    // A lease that was never held ended at minus infinity, which no wire carries.
    leaseLeftMs: Number.isFinite(lease) ? Math.round(lease ?? 0) : 0,
    lastElectionCause: status.lastElectionCause,
    rssBytes: process.memoryUsage.rss(),
    clusterTimeMs: Math.round(replica.clusterTimeMs()),
  };
}

/** What is wrong with the process itself. */
function ownProblems(sources: StateSources): string[] {
  const { config, loopDelay } = sources;
  const problems: string[] = [];
  const why = sources.withheld();
  if (why !== "") problems.push(`no lease is asked for: ${why}`);
  const loopP99Ms = loopDelay.percentileMs(99);
  if (loopP99Ms > config.options.loopDelayDegradedMs)
    problems.push(`the event loop runs ${Math.round(loopP99Ms)} ms late`);
  return problems;
}

/** What is wrong here besides what has a kind of event of its own: no leader, no lease, a full disk. */
export function otherProblems(sources: StateSources): string[] {
  const told = sources.replica.status().errors.filter((text) => text !== NO_LEADER && text !== DISK_LOW);
  return [...told, ...ownProblems(sources)];
}

/** A member's name, or its number where the state does not know it yet; empty for zero. */
export function memberName(replica: Replica, raftId: number): string {
  if (raftId === 0) return "";
  for (const member of replica.state.members())
    if (member.raftId === raftId) return member.name ?? String(raftId);
  return String(raftId);
}
