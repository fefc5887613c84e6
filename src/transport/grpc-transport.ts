import { credentials, type ChannelCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import type { Log, Meter, Scheduler } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { provenName } from "../wire/caller.js";
import type { v1 } from "../wire/index.js";
import { resolveHost, type ResolveHost } from "./addresses.js";
import type { PeerEvents, PeerTarget, SnapshotSource, Transport } from "./api.js";
import type { AdmitPeer, ProvePeer, SelfIdentity } from "./handshake.js";
import { IncomingLink, type LinkCall } from "./incoming-link.js";
import { IncomingSnapshot, type SnapshotCall } from "./incoming-snapshot.js";
import { defaultTransportOptions, type TransportOptions } from "./options.js";
import { PeerLink, type LinkContext } from "./peer-link.js";
import { SnapshotSender } from "./snapshot-sender.js";

/** What a transport is made of. */
export interface GrpcTransportSetup {
  readonly self: SelfIdentity;
  readonly events: PeerEvents;
  /** Judges and remembers the disk that a peer says it has (`NodeStorage.admitPeer`). */
  readonly admit: AdmitPeer;
  readonly scheduler: Scheduler;
  readonly log: Log;
  readonly meter: Meter;
  readonly options?: Partial<TransportOptions>;
  /** Default: no TLS. */
  readonly credentials?: ChannelCredentials;
  readonly resolve?: ResolveHost;
}

/**
 * Links to all peers over gRPC. Each pair of members has two streams, one a direction, each dialled by the side that
 * sends on it. `handlers` are to be added to the node's server: `server.addService(services.Peer, transport.handlers)`.
 */
export class GrpcTransport implements Transport {
  readonly handlers: UntypedServiceImplementation;
  readonly #context: LinkContext;
  readonly #events: PeerEvents;
  readonly #links = new Map<number, PeerLink>();
  readonly #incoming = new Map<number, IncomingLink>();
  readonly #calls = new Set<IncomingLink>();
  readonly #incomingSnapshots = new Map<number, IncomingSnapshot>();
  readonly #outgoingSnapshots = new Map<number, SnapshotSender>();
  #flushDue = false;
  #lastRefusal = "";
  #closed = false;

  constructor(setup: GrpcTransportSetup) {
    this.#events = setup.events;
    this.#context = {
      self: setup.self,
      admit: setup.admit,
      scheduler: setup.scheduler,
      log: setup.log,
      meter: setup.meter,
      options: { ...defaultTransportOptions, ...setup.options },
      credentials: setup.credentials ?? credentials.createInsecure(),
      resolve: setup.resolve ?? resolveHost,
    };
    this.handlers = {
      Link: (call: LinkCall) => this.#accept(call),
      InstallSnapshot: (call: SnapshotCall) => this.#acceptSnapshot(call),
    } as unknown as UntypedServiceImplementation;
  }

  /** Dials who is new, hangs up on who is gone, dials anew who has moved. This node itself is passed over. */
  setPeers(peers: readonly PeerTarget[]): void {
    if (this.#closed) return;
    const wanted = new Map(peers.map((peer) => [peer.raftId, peer]));
    wanted.delete(this.#context.self.raftId);
    for (const [raftId, link] of this.#links) {
      const target = wanted.get(raftId);
      if (target?.address === link.target.address && target.name === link.target.name) continue;
      this.#links.delete(raftId);
      link.close(target === undefined ? "no longer a peer" : "the peer's address has changed");
      if (target === undefined) this.#outgoingSnapshots.get(raftId)?.abort("no longer a peer");
    }
    for (const [raftId, target] of wanted)
      if (!this.#links.has(raftId))
        this.#links.set(raftId, new PeerLink(target, this.#context, this.#events));
  }

  send(to: number, frame: v1.IPeerFrame): void {
    this.#links.get(to)?.send(frame);
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.#context.scheduler.soon(() => {
      if (this.#flushDue) this.flush();
    });
  }

  flush(): void {
    this.#flushDue = false;
    for (const link of this.#links.values()) link.flush();
  }

  /** True while frames to this peer have a way out. */
  connectedTo(peer: number): boolean {
    return this.#links.get(peer)?.connected ?? false;
  }

  sendSnapshot(to: number, source: SnapshotSource): Promise<boolean> {
    const link = this.#links.get(to);
    if (link === undefined || this.#closed) {
      source.close();
      return Promise.resolve(false);
    }
    this.#outgoingSnapshots.get(to)?.abort("another snapshot takes its place");
    return new Promise((resolve) => {
      const sender = new SnapshotSender(
        link.target,
        source,
        this.#context,
        () => link.dialAddress(),
        (installed, reason) => {
          if (this.#outgoingSnapshots.get(to) === sender) this.#outgoingSnapshots.delete(to);
          const fields = { peer: link.target.name, transfer: source.transferId, reason };
          if (installed) this.#context.log.info(fields, "snapshot was installed by the peer");
          else this.#context.log.warn(fields, "snapshot could not be sent");
          resolve(installed);
        },
      );
      this.#outgoingSnapshots.set(to, sender);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const stopping = new HoldfastError(ErrorCode.STOPPING, `member ${this.#context.self.raftId} is stopping`);
    for (const sender of [...this.#outgoingSnapshots.values()]) sender.abort("stopping");
    for (const link of this.#links.values()) link.close("stopping");
    this.#links.clear();
    for (const incoming of [...this.#calls]) incoming.end(stopping);
    const snapshots = [...this.#incomingSnapshots.values()];
    for (const snapshot of snapshots) snapshot.end(stopping);
    await Promise.all(snapshots.map((snapshot) => snapshot.settled()));
  }

  #accept(call: LinkCall): void {
    const { self, admit, scheduler, options, log } = this.#context;
    const link = new IncomingLink(
      call,
      self,
      admit,
      this.#prover(call),
      scheduler,
      options.handshakeTimeoutMs,
      {
        onHello: (accepted, from) => {
          this.#incoming
            .get(from)
            ?.end(new HoldfastError(ErrorCode.CANCELLED, "a newer link of this peer takes its place"));
          this.#incoming.set(from, accepted);
          this.#links.get(from)?.hint();
        },
        onRefused: (refusal, hello) => this.#noteRefusal(refusal, hello?.fromName ?? "", call.getPeer()),
        onFrames: (from, frames) => this.#events.onFrames(from, frames),
        onEnded: (ended, from) => {
          this.#calls.delete(ended);
          this.#context.meter.gauge("peer_incoming_links", this.#calls.size);
          if (from !== null && this.#incoming.get(from) === ended) this.#incoming.delete(from);
          log.debug({ from, peerAddress: call.getPeer() }, "incoming peer link ended");
        },
      },
    );
    this.#calls.add(link);
    this.#context.meter.gauge("peer_incoming_links", this.#calls.size);
    if (this.#closed) link.end(new HoldfastError(ErrorCode.STOPPING, "stopping"));
  }

  /**
   * With TLS a peer's certificate carries its name, and a member's number belongs to the name that it has in the
   * configuration; a number that is not known here yet (this node joins) is held to the name alone.
   */
  #prover(call: unknown): ProvePeer {
    const proven = provenName(call);
    return (raftId, name) => {
      if (proven === null) return null;
      const member = this.#links.get(raftId)?.target.name ?? name;
      return name === proven && member === proven
        ? null
        : `the certificate is ${JSON.stringify(proven)}'s, the peer says that it is member ${raftId} (${JSON.stringify(member.slice(0, 64))})`;
    };
  }

  /** A refused peer comes back ten times a second; a line is worth what is new. */
  #noteRefusal(refusal: HoldfastError, name: string, peerAddress: string): void {
    this.#context.meter.count("peer_links_refused");
    if (refusal.message === this.#lastRefusal) return;
    this.#lastRefusal = refusal.message;
    // What a stranger says of itself may be long or not printable.
    const peer = JSON.stringify(name.slice(0, 64));
    this.#context.log.warn(
      {
        peer,
        peerAddress,
        code: refusal.codeName,
        reason: refusal.message.slice(0, 300),
        next: refusal.extras.next,
      },
      "refused a peer link",
    );
  }

  #acceptSnapshot(call: SnapshotCall): void {
    const { self, admit } = this.#context;
    const stream = new IncomingSnapshot(call, self, admit, this.#prover(call), {
      onSnapshot: (from, first) => this.#events.onSnapshot(from, first),
      onBegin: async (from, begun) => {
        const earlier = this.#incomingSnapshots.get(from);
        this.#incomingSnapshots.set(from, begun);
        earlier?.end(new HoldfastError(ErrorCode.CANCELLED, "a newer stream takes its place"));
        await earlier?.settled();
      },
      onEnded: (from, ended) => {
        if (this.#incomingSnapshots.get(from) === ended) this.#incomingSnapshots.delete(from);
      },
    });
    if (this.#closed) stream.end(new HoldfastError(ErrorCode.STOPPING, "stopping"));
  }
}
