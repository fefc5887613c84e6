import type { Clock } from "../runtime/api.js";
import type { StateView } from "../state/index.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import type { CoordinatorConfig } from "./config.js";

/** A part of the lease in which at least one heartbeat comes from a process that runs. */
const HEARTBEATS_GO_ON = 1 / 3;

/** One incarnation of a file node as this coordinator knows it. */
interface Promised {
  readonly incarnation: number;
  /** Receipt of the latest heartbeat that was granted, or when this coordinator first saw the incarnation up. */
  aliveMs: number;
  /** The latest sign of life of any kind; for the record of a failover only, never for a promise. */
  lifeMs: number;
  /** Set once and for ever: this incarnation gets no more promises from here. */
  revokedMs: number | null;
}

/** A promise that was withdrawn and whose node is not down yet. */
export interface Revocation {
  readonly node: string;
  readonly incarnation: number;
  /** Time since its last sign of life here. */
  readonly silentMs: number;
  /** Time since its last granted heartbeat here. */
  readonly heartbeatSilentMs: number;
  /** Told for the first time. */
  readonly fresh: boolean;
}

/**
 * The promises of this coordinator to file nodes: "I will not help to declare you dead for one lease time from now".
 * A file node holds its lease while a majority promises. Volatile on purpose: after a restart nothing is revoked for
 * one lease time, so whatever was promised before has run out by then.
 *
 * An incarnation whose promise has lapsed is revoked and never answered again, whatever it sends later; otherwise a
 * majority could be put together from promises of different moments.
 */
export class LeasePromises {
  private readonly promised = new Map<string, Promised>();

  constructor(
    private readonly config: CoordinatorConfig,
    private readonly clock: Clock,
    private readonly state: () => StateView,
  ) {}

  /** Answers a heartbeat: a promise from its receipt, or why not. */
  heartbeat(request: v1.IHeartbeatRequest, coordinators: number): v1.IHeartbeatResponse {
    const answer: v1.IHeartbeatResponse = {
      sequence: request.sequence ?? 0,
      granted: false,
      coordinator: this.config.name,
      coordinators,
    };
    const error = this.refusal(request);
    if (error !== null) answer.error = error;
    else answer.granted = true;
    return answer;
  }

  private refusal(request: v1.IHeartbeatRequest): v1.IErrorDetail | null {
    const name = request.node ?? "";
    const incarnation = (request.incarnation as number | undefined) ?? 0;
    const leaseMs = request.leaseMs ?? 0;
    if (leaseMs > this.config.leaseMs)
      return errorDetail(
        ErrorCode.INVALID_ARGUMENT,
        `a lease of ${leaseMs} ms was asked for, promises here last ${this.config.leaseMs} ms`,
        { next: "set the same leaseMs on all nodes" },
      );
    const record = this.state().node(name);
    if (record === undefined || Number(record.incarnation ?? 0) < incarnation)
      return errorDetail(
        ErrorCode.UNKNOWN_NODE,
        `node ${name} incarnation ${incarnation} is not registered here (yet)`,
        {
          next: "RegisterNode",
        },
      );
    if (Number(record.incarnation) > incarnation)
      return lost(name, incarnation, "a later one has registered");
    if (record.status !== v1.NodeStatus.NODE_UP) return lost(name, incarnation, "it was declared down");
    // Whose member is gone can commit nothing by itself. It is promised nothing more, and its sessions move when what it was
    // promised has run out; told otherwise, they would wait for a process that somebody forgot to stop.
    if (record.foreign !== true && !this.isMember(name))
      return errorDetail(ErrorCode.UNKNOWN_MEMBER, `${name} is no member of the cluster any more`, {
        next: `stop ${name}`,
      });
    const known = this.know(name, incarnation);
    if (known.revokedMs !== null) return lost(name, incarnation, "its lease lapsed at this coordinator");
    known.aliveMs = this.clock.monotonicMs();
    known.lifeMs = known.aliveMs;
    return null;
  }

  private isMember(name: string): boolean {
    let known = false;
    for (const member of this.state().members()) {
      if (member.name === name) return true;
      known = true;
    }
    // Before the first leader has written down who the founders are, nobody is left out.
    return !known;
  }

  private know(name: string, incarnation: number): Promised {
    let known = this.promised.get(name);
    if (known === undefined || known.incarnation !== incarnation) {
      const now = this.clock.monotonicMs();
      known = { incarnation, aliveMs: now, lifeMs: now, revokedMs: null };
      this.promised.set(name, known);
    }
    return known;
  }

  /**
   * Looks at all nodes that are up and revokes what has lapsed. Answers everything that is revoked and still up, to be
   * told to the leader until it is down.
   */
  revoked(): Revocation[] {
    const now = this.clock.monotonicMs();
    const found: Revocation[] = [];
    const up = new Set<string>();
    for (const record of this.state().nodes()) {
      const name = record.name ?? "";
      if (record.status !== v1.NodeStatus.NODE_UP) continue;
      up.add(name);
      const known = this.know(name, Number(record.incarnation ?? 0));
      const silentMs = now - known.aliveMs;
      const fresh = known.revokedMs === null && silentMs > this.config.leaseMs;
      if (fresh) known.revokedMs = now;
      if (known.revokedMs !== null)
        found.push({
          node: name,
          incarnation: known.incarnation,
          silentMs: now - known.lifeMs,
          heartbeatSilentMs: silentMs,
          fresh,
        });
    }
    // What is down can come back only under a new incarnation, which starts afresh.
    for (const name of this.promised.keys()) if (!up.has(name)) this.promised.delete(name);
    return found;
  }

  /**
   * The stream of a node's heartbeats ended. A kernel closes the connections of a process that dies, so that it lived
   * until now; only where its heartbeats had stopped before, nothing is known. Shortens no promise.
   */
  linkEnded(name: string, incarnation: number): void {
    const known = this.promised.get(name);
    if (known === undefined || known.incarnation !== incarnation || known.revokedMs !== null) return;
    const now = this.clock.monotonicMs();
    if (now - known.aliveMs <= this.config.leaseMs * HEARTBEATS_GO_ON) known.lifeMs = now;
  }

  /**
   * Until a node that is silent from now on may be declared down: what is left of this coordinator's promise, and the
   * margin beside it. A coordinator that has not heard of it yet would wait one whole lease.
   */
  leftMs(name: string): number {
    const { leaseMs, leaseMarginMs } = this.config;
    return Math.max(0, leaseMs - (this.silentMs(name) ?? 0)) + leaseMarginMs;
  }

  /** Milliseconds since the last sign of life of a node's present incarnation; undefined when never heard of. */
  silentMs(name: string): number | undefined {
    const known = this.promised.get(name);
    return known === undefined ? undefined : this.clock.monotonicMs() - known.aliveMs;
  }
}

function lost(node: string, incarnation: number, why: string): v1.IErrorDetail {
  return errorDetail(
    ErrorCode.LEASE_LOST,
    `node ${node} incarnation ${incarnation} gets no more lease: ${why}`,
    {
      node,
      next: "stop serving and register under a higher incarnation",
    },
  );
}
