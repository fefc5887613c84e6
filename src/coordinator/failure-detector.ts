import type { ConfState } from "../raft/index.js";
import type { Clock, Log } from "../runtime/api.js";
import type { StateView } from "../state/index.js";
import { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import type { CoordinatorConfig } from "./config.js";

/** Asks the world outside to confirm that a node can do no more harm; resolves with what it did. */
export type Fence = (node: string, incarnation: number) => Promise<string>;

/** What the detector needs. */
export interface DetectorHost {
  readonly config: CoordinatorConfig;
  readonly clock: Clock;
  readonly log: Log;
  state(): StateView;
  /** Configuration of the coordinators in force. */
  conf(): ConfState;
  /** True at a leader that may propose. */
  ready(): boolean;
  propose(command: v1.ICommand): Promise<v1.ICommandResult>;
  /** Absent: nothing outside is asked. */
  readonly fence?: Fence;
}

/** Who has revoked one incarnation, and when it was last heard of. */
interface Suspect {
  readonly incarnation: number;
  readonly revokers: Set<number>;
  /** The latest sign of life that any coordinator reports, on this clock. */
  lastAliveMs: number;
  /** The latest heartbeat that any coordinator has granted. */
  lastHeartbeatMs: number;
  underWay: boolean;
  retryMs: number;
  /** What the fence said when it confirmed the death of this incarnation; null: it has not. */
  confirmed: string | null;
}

/** True when `who` holds a majority of each half of the configuration (design section 5). */
export function isMajority(who: ReadonlySet<number>, conf: ConfState): boolean {
  const half = (voters: readonly number[]): boolean =>
    voters.filter((voter) => who.has(voter)).length > voters.length / 2;
  return half(conf.voters) && (conf.votersOutgoing.length === 0 || half(conf.votersOutgoing));
}

/**
 * At the leader: gathers revocations and, when a majority of coordinators has withdrawn its promise, proposes that the
 * node is down. Every member gathers, because revocations come before an election is over; only a ready leader acts.
 */
export class FailureDetector {
  private readonly suspects = new Map<string, Suspect>();
  private readySinceMs = -Infinity;
  /** When the latest leader was lost before this member became ready; null while one is followed. */
  private leaderlessMs: number | null = null;
  /** The same of the election that made this member ready. */
  private electionFromMs = -Infinity;

  constructor(private readonly host: DetectorHost) {}

  /** A coordinator (this one included) has revoked its promise. */
  revoked(from: number, revocation: v1.ILeaseRevoked): void {
    const node = revocation.node ?? "";
    const incarnation = Number(revocation.incarnation ?? 0);
    if (!this.isUp(node, incarnation)) return;
    let suspect = this.suspects.get(node);
    if (suspect === undefined || suspect.incarnation !== incarnation) {
      const never = { lastAliveMs: -Infinity, lastHeartbeatMs: -Infinity };
      suspect = { incarnation, revokers: new Set(), ...never, underWay: false, retryMs: 0, confirmed: null };
      this.suspects.set(node, suspect);
    }
    suspect.revokers.add(from);
    const nowMs = this.host.clock.monotonicMs();
    const silentMs = revocation.silentMs ?? 0;
    suspect.lastAliveMs = Math.max(suspect.lastAliveMs, nowMs - silentMs);
    const heartbeatMs = nowMs - (revocation.heartbeatSilentMs || silentMs);
    suspect.lastHeartbeatMs = Math.max(suspect.lastHeartbeatMs, heartbeatMs);
    this.act(node, suspect);
  }

  /** Repeats what could not be done: no leader then, or no quorum. */
  tick(): void {
    for (const [node, suspect] of this.suspects) {
      if (this.isUp(node, suspect.incarnation)) this.act(node, suspect);
      else this.suspects.delete(node);
    }
  }

  becameReady(): void {
    this.readySinceMs = this.host.clock.monotonicMs();
    this.electionFromMs = this.leaderlessMs ?? this.readySinceMs;
    this.leaderlessMs = null;
    this.tick();
  }

  /** Who leads as far as this member knows, itself included; zero: nobody. */
  leaderIs(leaderId: number): void {
    if (leaderId === 0) this.leaderlessMs ??= this.host.clock.monotonicMs();
    // Having won is not the end of an election yet: that is when the new leader may act.
    else if (leaderId !== this.host.config.raftId) this.leaderlessMs = null;
  }

  private isUp(node: string, incarnation: number): boolean {
    const record = this.host.state().node(node);
    return (
      record !== undefined &&
      record.status === v1.NodeStatus.NODE_UP &&
      Number(record.incarnation ?? 0) === incarnation
    );
  }

  private act(node: string, suspect: Suspect): void {
    const now = this.host.clock.monotonicMs();
    if (suspect.underWay || now < suspect.retryMs || !this.host.ready()) return;
    if (!isMajority(suspect.revokers, this.host.conf())) return;
    suspect.underWay = true;
    this.declareDown(node, suspect, now).then(
      (error) => this.ended(suspect, error),
      (error: unknown) => this.ended(suspect, String(error)),
    );
  }

  private ended(suspect: Suspect, error: string | null): void {
    suspect.underWay = false;
    if (error === null) return;
    suspect.retryMs = this.host.clock.monotonicMs() + this.host.config.nodeDownRetryMs;
    this.host.log.warn({ error }, "a node could not be declared down yet");
  }

  private async declareDown(node: string, suspect: Suspect, startMs: number): Promise<string | null> {
    // Not asked again when only the entry has failed: by then it would hit the process that was started since, and with
    // coordinators in the same processes the quorum that the entry needs.
    suspect.confirmed ??=
      this.host.fence === undefined ? "" : await this.host.fence(node, suspect.incarnation);
    const now = this.host.clock.monotonicMs();
    const phases = this.phases(suspect, startMs, now);
    const nodeDown: v1.INodeDown = {
      node,
      incarnation: suspect.incarnation,
      cause: "lease lapsed",
      ...phases,
      wallTime: new Date(this.host.clock.wallMs()).toISOString(),
      fenceConfirmed: suspect.confirmed,
      sessionsMax: limits.takeoverSessionsWanted,
    };
    this.host.log.warn({ node, incarnation: suspect.incarnation, ...phases }, "node declared down");
    const result = await this.host.propose({ nodeDown });
    if (result.error) return result.error.message ?? "refused";
    this.noteReassign(Number(result.takeover?.failoverId ?? 0), this.host.clock.monotonicMs() - now);
    return null;
  }

  // Known only once it is over, so it follows in an entry of its own; lost with a leader that dies in between.
  private noteReassign(id: number, tookMs: number): void {
    if (id === 0) return;
    this.host.propose({ noteFailover: { record: { id, reassignUs: us(tookMs) } } }).then(
      (result) => {
        if (result.error)
          this.host.log.info({ error: result.error.message }, "a failover's record lacks a phase");
      },
      () => undefined,
    );
  }

  /**
   * Where the time went since the last sign of life; the parts add up to the whole. Lease and election run side by side:
   * the time without a leader counts as election, what was left of the lease as detection. The lease's last part is
   * margin: the owner has stopped by its own clock, and what its kernel still had is waited for. That, and the fence
   * command, is the fence.
   */
  private phases(suspect: Suspect, startMs: number, nowMs: number) {
    const totalMs = Math.max(0, startMs - suspect.lastAliveMs);
    const electedInIt = this.readySinceMs > suspect.lastAliveMs;
    const fromMs = Math.max(suspect.lastAliveMs, this.electionFromMs);
    const electMs = electedInIt ? Math.min(totalMs, Math.max(0, this.readySinceMs - fromMs)) : 0;
    const marginMs = Math.min(this.host.config.leaseMarginMs, totalMs - electMs);
    return {
      detectUs: us(totalMs - electMs - marginMs),
      electUs: us(electMs),
      fenceUs: us(marginMs + (nowMs - startMs)),
      // A broken connection is seen late by a busy process; what clients say may move the end of life back, so far.
      detectSlackUs: us(Math.max(0, suspect.lastAliveMs - suspect.lastHeartbeatMs)),
    };
  }
}

/** Milliseconds as whole microseconds. */
function us(ms: number): number {
  return Math.round(ms * 1_000);
}
