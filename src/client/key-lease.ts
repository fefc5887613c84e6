import type { Runtime, Timer } from "../runtime/api.js";
import type { v1 } from "../wire/index.js";
import type { ClientNetwork, ClientStream } from "./transport-api.js";

/** How the lease of a file server is kept. */
export interface KeyLeaseOptions {
  readonly server: string;
  readonly incarnation: number;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Taken off the lease: the two ends' clocks do not run at quite the same rate. */
  readonly marginMs: number;
  readonly dialTimeoutMs: number;
}

interface Coordinator {
  readonly address: string;
  stream: ClientStream<v1.IHeartbeatRequest> | null;
  dialling: boolean;
  /** Send time of the latest heartbeat that it granted. */
  grantedAtMs: number;
}

/** Send times of heartbeats that were not answered yet; older ones are of no use. */
const SENT_KEPT = 64;

/**
 * A file server's node lease (design section 5): heartbeats to every coordinator; it runs from the *send* time of the
 * latest heartbeat that a majority granted, on the monotonic clock. Without it the cluster declares the server down and
 * gives its keys to others.
 */
export class KeyLease {
  readonly #network: ClientNetwork;
  readonly #runtime: Runtime;
  readonly #options: KeyLeaseOptions;
  readonly #coordinators = new Map<string, Coordinator>();
  readonly #sentAtMs = new Map<number, number>();
  #majority = 1;
  #sequence = 0;
  #timer: Timer | null = null;
  #closed = false;

  constructor(network: ClientNetwork, runtime: Runtime, options: KeyLeaseOptions) {
    this.#network = network;
    this.#runtime = runtime;
    this.#options = options;
  }

  /** Begins with these coordinators; all of the cluster's voters must be among them. */
  start(addresses: Iterable<string>): void {
    for (const address of addresses)
      if (!this.#coordinators.has(address))
        this.#coordinators.set(address, {
          address,
          stream: null,
          dialling: false,
          grantedAtMs: Number.NEGATIVE_INFINITY,
        });
    this.#majority = Math.floor(this.#coordinators.size / 2) + 1;
    if (this.#timer === null) this.#beat();
  }

  /** Time for which this server may still count on being the owner of its keys; zero or less: not held. */
  leftMs(): number {
    const granted = [...this.#coordinators.values()].map((c) => c.grantedAtMs).sort((a, b) => b - a);
    const since = granted[this.#majority - 1] ?? Number.NEGATIVE_INFINITY;
    return since + this.#options.leaseMs - this.#options.marginMs - this.#runtime.clock.monotonicMs();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const coordinator of this.#coordinators.values()) coordinator.stream?.close();
    this.#coordinators.clear();
  }

  #beat(): void {
    const sequence = ++this.#sequence;
    this.#sentAtMs.set(sequence, this.#runtime.clock.monotonicMs());
    this.#sentAtMs.delete(sequence - SENT_KEPT);
    const { server: node, incarnation, leaseMs } = this.#options;
    for (const coordinator of this.#coordinators.values()) {
      if (coordinator.stream !== null) coordinator.stream.send({ node, incarnation, sequence, leaseMs });
      else if (!coordinator.dialling) this.#dial(coordinator);
    }
    this.#timer = this.#runtime.scheduler.after(this.#options.heartbeatMs, () => this.#beat());
  }

  #dial(coordinator: Coordinator): void {
    coordinator.dialling = true;
    const events = {
      onMessage: (answer: v1.IHeartbeatResponse) => this.#answered(coordinator, answer),
      onClosed: () => (coordinator.stream = null),
    };
    this.#network.openHeartbeat(coordinator.address, this.#options.dialTimeoutMs, events).then(
      (stream) => {
        coordinator.dialling = false;
        if (this.#closed) stream.close();
        else coordinator.stream = stream;
      },
      () => (coordinator.dialling = false),
    );
  }

  #answered(coordinator: Coordinator, answer: v1.IHeartbeatResponse): void {
    const sentAtMs = this.#sentAtMs.get(answer.sequence ?? 0);
    if (!answer.granted || sentAtMs === undefined) return;
    coordinator.grantedAtMs = Math.max(coordinator.grantedAtMs, sentAtMs);
    this.#majority = Math.max(this.#majority, Math.floor((answer.coordinators ?? 1) / 2) + 1);
  }
}
