import type { CoordinatorClient } from "../coordinator/api.js";
import type { Runtime, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { NodeLease, Vfs } from "./api.js";
import { Canary } from "./canary.js";
import { type LeaseOptions, leaseOptions } from "./lease-options.js";
import { LeaseTerm } from "./lease-term.js";

/** Carries heartbeats to coordinators. `send` never throws and never blocks; what cannot be sent is dropped. */
export interface HeartbeatNetwork {
  setCoordinators(coordinators: readonly HeartbeatTarget[]): void;
  send(coordinator: string, request: v1.IHeartbeatRequest): void;
  onResponse(listener: (coordinator: string, response: v1.IHeartbeatResponse) => void): void;
  close(): void;
}

/** A coordinator as heartbeats reach it. */
export interface HeartbeatTarget {
  readonly name: string;
  readonly address: string;
}

/** What a lease keeper stands on. */
export interface LeaseKeeperOptions {
  readonly runtime: Runtime;
  readonly coordinator: CoordinatorClient;
  readonly network: HeartbeatNetwork;
  readonly shares: ReadonlyMap<string, Vfs>;
  /** How the node registers itself; the incarnation is filled in. */
  readonly node: v1.INodeRecord & { readonly name: string };
  /** The next incarnation, durable before it is answered: never the same twice. */
  readonly nextIncarnation: () => Promise<number>;
  readonly lease?: Partial<LeaseOptions>;
  /** Called once the node is registered, at the start and after each new registration. */
  readonly onRegistered: () => void | Promise<void>;
}

const MEMBERS_EVERY_MS = 2000;
const RETRY_MS = 200;
const LATE_IN_A_ROW_MAX = 3;

/**
 * Keeps this node's lease: registers the node, sends heartbeats to all coordinators, and knows until when a majority has
 * promised not to declare it down. Heartbeats stop while a share does not answer or the event loop is stuck. An
 * incarnation that a majority has revoked is given up; the node registers a new one.
 */
export class LeaseKeeper implements NodeLease {
  private readonly options: LeaseOptions;
  private readonly canaries: Canary[];
  private readonly listeners = new Set<() => void>();
  private term: LeaseTerm;
  private present = 0;
  private beat: Timer | null = null;
  private membersTimer: Timer | null = null;
  private plannedMs = 0;
  private lateInARow = 0;
  private renewing = false;
  private coordinators: readonly string[] = [];
  private stopped = false;

  constructor(private readonly env: LeaseKeeperOptions) {
    this.options = leaseOptions(env.lease ?? {});
    this.term = new LeaseTerm(this.options.leaseMs, this.options.marginMs);
    const { clock, scheduler, log } = env.runtime;
    const canaryOptions = {
      node: env.node.name,
      everyMs: this.options.canaryMs,
      timeoutMs: this.options.canaryTimeoutMs,
      clock,
      scheduler,
      log,
    };
    this.canaries = [...env.shares].map(([share, vfs]) => new Canary(share, vfs, canaryOptions));
    env.network.onResponse((coordinator, response) => this.answered(coordinator, response));
  }

  get incarnation(): number {
    return this.present;
  }

  leftMs(): number {
    return this.term.leftMs(this.env.runtime.clock.monotonicMs());
  }

  onLost(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Registers the node and begins to beat. Resolves once it is registered; the lease follows with the first answers. */
  async start(): Promise<void> {
    for (const canary of this.canaries) canary.start();
    // Beating begins before the registration is in the log: from then on coordinators count the silence.
    this.plannedMs = this.env.runtime.clock.monotonicMs();
    this.tick();
    await this.register();
  }

  stop(): void {
    this.stopped = true;
    this.beat?.cancel();
    this.membersTimer?.cancel();
    for (const canary of this.canaries) canary.stop();
    this.env.network.close();
  }

  /** Why no heartbeat is sent at present; empty when one is. For health checks. */
  get withheld(): string {
    if (this.canaries.some((canary) => !canary.healthy)) return "a share does not answer";
    if (this.lateInARow >= LATE_IN_A_ROW_MAX) return "the event loop is stuck";
    return "";
  }

  private async register(): Promise<void> {
    this.present = await this.env.nextIncarnation();
    this.term = new LeaseTerm(this.options.leaseMs, this.options.marginMs, this.term.lastSequence);
    this.renewing = false;
    await this.loadMembers();
    for (;;) {
      const result = await this.env.coordinator.execute({
        registerNode: { node: { ...this.env.node, incarnation: this.present } },
      });
      if (!result.error) break;
      if (this.stopped) throw HoldfastError.fromDetail(result.error);
      this.env.runtime.log.warn({ error: result.error.message }, "registration is not possible yet");
      await this.sleep(RETRY_MS);
    }
    await this.loadMembers();
    await this.env.onRegistered();
  }

  private tick(): void {
    if (this.stopped) return;
    const { clock, scheduler } = this.env.runtime;
    const now = clock.monotonicMs();
    const late = now - this.plannedMs > this.options.loopDelayMaxMs;
    this.lateInARow = late ? this.lateInARow + 1 : 0;
    if (this.present > 0 && !this.renewing && this.withheld === "") this.send(now);
    this.plannedMs = now + this.options.heartbeatMs;
    this.beat = scheduler.after(this.options.heartbeatMs, () => this.tick());
  }

  private send(nowMs: number): void {
    const sequence = this.term.sent(nowMs);
    for (const name of this.coordinators)
      this.env.network.send(name, {
        node: this.env.node.name,
        incarnation: this.present,
        sequence,
        leaseMs: this.options.leaseMs,
      });
  }

  private answered(coordinator: string, response: v1.IHeartbeatResponse): void {
    if (this.renewing || this.stopped) return;
    this.term.reported(coordinator, response.sequence ?? 0, response.coordinators ?? 0);
    if (response.granted) this.term.granted(coordinator, response.sequence ?? 0);
    else if (response.error?.code === ErrorCode.LEASE_LOST) {
      const refused = this.term.refusedBy(coordinator, response.sequence ?? 0);
      if (refused === "by a majority" || (refused === "by some" && this.leftMs() <= 0)) this.renew();
    }
  }

  // No majority will promise anything to this incarnation again: whatever it owned is others' by now or soon. Or it lives
  // but cannot hold its lease: of three coordinators one has revoked it in some stall, which is for good, and then another
  // dies. No majority declares it down, none will promise, and its sessions would wait for the dead one's return.
  private renew(): void {
    this.renewing = true;
    this.env.runtime.log.warn(
      { incarnation: this.present },
      "this incarnation was revoked; registering anew",
    );
    for (const listener of [...this.listeners]) listener();
    void this.registerAgain();
  }

  private async registerAgain(): Promise<void> {
    while (!this.stopped) {
      try {
        return await this.register();
      } catch (error) {
        this.env.runtime.log.warn({ error: String(error) }, "registration failed");
        await this.sleep(RETRY_MS);
      }
    }
  }

  private async loadMembers(): Promise<void> {
    const answer = await this.env.coordinator.query({ stale: true, cluster: {} });
    const voters = (answer.members ?? []).filter((member) => !member.learner);
    if (!answer.error && voters.length > 0) {
      this.coordinators = voters.map((member) => member.name ?? "");
      this.env.network.setCoordinators(
        voters.map((member) => ({ name: member.name ?? "", address: member.grpcAddress ?? "" })),
      );
      this.term.setMembers(this.coordinators);
    }
    this.membersTimer?.cancel();
    if (this.stopped) return;
    // The first node of a fresh cluster may register before the members are in the state. It has one lease time to find
    // somebody to send heartbeats to, or it is declared down at its very start.
    const pauseMs = this.coordinators.length === 0 ? RETRY_MS : MEMBERS_EVERY_MS;
    this.membersTimer = this.env.runtime.scheduler.after(pauseMs, () => void this.loadMembers());
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.env.runtime.scheduler.after(ms, resolve);
    });
  }
}
