import type { Runtime } from "../runtime/api.js";
import type { Replica } from "../replica/index.js";
import { Ticker } from "../replica/index.js";
import { HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import { gate } from "./command-gate.js";
import type { CoordinatorConfig } from "./config.js";
import { FailureDetector, type Fence } from "./failure-detector.js";
import { LeasePromises } from "./lease-promises.js";
import { answerQuery } from "./state-queries.js";
import { WatchHub } from "./watch-hub.js";

/** What a coordinator is made of. */
export interface CoordinatorDeps {
  readonly runtime: Runtime;
  readonly replica: Replica;
  readonly config: CoordinatorConfig;
  readonly fence?: Fence;
}

/**
 * The coordinator's logic without a wire: commands and queries of file servers, their leases, events. The gRPC service
 * and the client in the same process are both thin skins over it.
 */
export class Coordinator {
  readonly config: CoordinatorConfig;
  readonly hub: WatchHub;
  readonly promises: LeasePromises;
  readonly detector: FailureDetector;
  private readonly replica: Replica;
  private readonly runtime: Runtime;
  private readonly ticker: Ticker;
  private readonly endings: (() => void)[];
  private toldMs = -Infinity;
  private wasReady = false;

  constructor(deps: CoordinatorDeps) {
    const { runtime, replica, config } = deps;
    this.config = config;
    this.replica = replica;
    this.runtime = runtime;
    this.hub = new WatchHub(
      config,
      runtime.scheduler,
      replica.appliedIndex,
      () => replica.appliedIndex,
      () => replica.state.cluster().clusterId ?? "",
    );
    this.promises = new LeasePromises(config, runtime.clock, () => replica.state);
    this.detector = new FailureDetector({
      config,
      clock: runtime.clock,
      log: runtime.log,
      state: () => replica.state,
      conf: () => replica.status().raft.config,
      ready: () => replica.leader().ready,
      propose: (command) => replica.propose(command),
      ...(deps.fence === undefined ? {} : { fence: deps.fence }),
    });
    this.endings = [
      replica.onEvents((events, revision) => this.hub.push(events, revision)),
      replica.onResync((revision) => this.hub.resync(revision)),
      replica.onPeerFrame((from, frame) => {
        if (frame.leaseRevoked) this.detector.revoked(from, frame.leaseRevoked);
      }),
      replica.onRoleChange((info) => this.roleChanged(info.ready, info.leaderId)),
    ];
    // A late tick says that heartbeats may wait unread in the sockets: one poll phase passes before anything is revoked.
    this.ticker = new Ticker(runtime.clock, runtime.scheduler, config.leaseTickMs, config.leaseTickMs * 2, {
      tick: () => this.tick(),
      stalled: () => runtime.meter.count("coordinator_stalls"),
    });
    this.ticker.start();
  }

  private roleChanged(ready: boolean, leaderId: number): void {
    this.detector.leaderIs(leaderId);
    if (ready && !this.wasReady) {
      // The new leader has none of the revocations that were told to the old one.
      this.toldMs = -Infinity;
      this.detector.becameReady();
    }
    this.wasReady = ready;
  }

  private tick(): void {
    const revoked = this.promises.revoked();
    for (const { node, incarnation, heartbeatSilentMs, fresh } of revoked)
      if (fresh) this.runtime.log.warn({ node, incarnation, heartbeatSilentMs }, "promise to a node revoked");
    this.detector.tick();
    const now = this.runtime.clock.monotonicMs();
    if (revoked.length === 0 || now - this.toldMs < this.config.revokedRepeatMs) return;
    this.toldMs = now;
    const { leaderId, isLeader } = this.replica.leader();
    for (const revocation of revoked) {
      const { node, incarnation } = revocation;
      const silentMs = Math.round(revocation.silentMs);
      const heartbeatSilentMs = Math.round(revocation.heartbeatSilentMs);
      const leaseRevoked = { node, incarnation, silentMs, heartbeatSilentMs };
      this.runtime.meter.count("leases_revoked");
      // Kept here too: whoever is elected next has its own revocation at once.
      this.detector.revoked(this.config.raftId, leaseRevoked);
      if (!isLeader && leaderId !== 0) this.replica.sendToPeer(leaderId, { leaseRevoked });
    }
  }

  /** A command of a file server. Never rejects. */
  execute(command: v1.ICommand, deadlineMs?: number): Promise<v1.ICommandResult> {
    return new Promise((resolve) => this.executeWith(command, deadlineMs, resolve));
  }

  /** The same with a callback: one closure a call less on the hot path. */
  executeWith(
    command: v1.ICommand,
    deadlineMs: number | undefined,
    done: (result: v1.ICommandResult) => void,
  ): void {
    const problem = gate(command);
    if (problem !== null) return done({ error: problem });
    const bytes = v1.Command.encode(command).finish();
    if (bytes.length > limits.commandBytesMax)
      return done({
        error: errorDetail(
          ErrorCode.LIMIT_EXCEEDED,
          `the command has ${bytes.length} bytes; at most ${limits.commandBytesMax} are allowed`,
        ),
      });
    this.replica.proposeEncoded(bytes, deadlineMs ?? this.defaultDeadline(), done);
  }

  private defaultDeadline(): number {
    return this.runtime.clock.monotonicMs() + this.config.callTimeoutMs;
  }

  /** Reads the state; linearizable unless `stale` is set. Never rejects. */
  async query(query: v1.IStateQuery, deadlineMs?: number): Promise<v1.IStateAnswer> {
    try {
      if (!query.stale) await this.replica.readBarrier(deadlineMs ?? this.defaultDeadline());
      return answerQuery(query, this.replica.state, this.replica.appliedIndex);
    } catch (error) {
      return { error: HoldfastError.from(error).toDetail() };
    }
  }

  heartbeat(request: v1.IHeartbeatRequest): v1.IHeartbeatResponse {
    return this.promises.heartbeat(request, this.voterCount());
  }

  /** A stream of heartbeats ended, of the incarnation that sent the last one on it. */
  heartbeatsEnded(node: string, incarnation: number): void {
    this.promises.linkEnded(node, incarnation);
  }

  private voterCount(): number {
    let voters = 0;
    for (const member of this.replica.state.members()) if (!member.learner) voters++;
    return voters;
  }

  /** Ends timers and subscriptions; the replica is its owner's to stop. */
  stop(): void {
    this.ticker.stop();
    for (const end of this.endings) end();
  }
}

/** Makes a coordinator over a replica and starts its duties. */
export function createCoordinator(deps: CoordinatorDeps): Coordinator {
  return new Coordinator(deps);
}
