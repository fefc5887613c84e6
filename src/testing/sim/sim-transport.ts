import type { PeerEvents, PeerTarget, SnapshotSource, Transport } from "../../transport/api.js";
import {
  type AdmitPeer,
  makeHello,
  makeWelcome,
  refuseHello,
  refuseWelcome,
  type SelfIdentity,
} from "../../transport/handshake.js";
import { v1 } from "../../wire/index.js";
import type { SimNetwork } from "./network.js";
import type { SimProcess } from "./sim-process.js";
import type { Simulation } from "./simulation.js";

/** What a peer link carries: the frames of one turn, encoded, so that members share nothing that a wire would not carry. */
interface PeerPacket {
  readonly frames: readonly Uint8Array[];
  /** Frames of an earlier process are refused, as by the handshake of a real link. */
  readonly senderLife: number;
}

/** Who a member is to the others, and what it thinks of their disks: the two halves of the real handshake. */
export interface PeerDoor {
  readonly self: SelfIdentity;
  readonly admit: AdmitPeer;
}

interface Endpoint {
  readonly id: number;
  readonly door: PeerDoor;
  /** The processes that have welcomed this one, and the incarnation that each member had. */
  readonly welcomedBy: Set<Endpoint>;
  readonly incarnations: Map<number, number>;
  readonly life: number;
  readonly process: SimProcess;
  readonly events: PeerEvents;
  readonly up: Set<number>;
  peers: readonly PeerTarget[];
  outgoing: Map<number, Uint8Array[]>;
}

/** How long a dial takes, and how often links are looked at. */
const LINK_CHECK_US = 20_000;

/** The peer transport over a simulated network: batches a turn, links that break and come back, snapshots in chunks. */
export class SimPeerNetwork {
  private readonly endpoints = new Map<number, Endpoint>();

  constructor(
    private readonly sim: Simulation,
    private readonly network: SimNetwork<() => void>,
  ) {
    this.checkLinks();
  }

  /** Makes the transport of one process of a member. */
  join(id: number, life: number, process: SimProcess, events: PeerEvents, door: PeerDoor): Transport {
    const endpoint: Endpoint = {
      id,
      door,
      welcomedBy: new Set(),
      incarnations: new Map(),
      life,
      process,
      events,
      up: new Set(),
      peers: [],
      outgoing: new Map(),
    };
    this.endpoints.set(id, endpoint);
    return {
      setPeers: (peers) => {
        endpoint.peers = peers;
      },
      send: (to, frame) => {
        const bytes = v1.PeerFrame.encode(frame).finish();
        const waiting = endpoint.outgoing.get(to);
        if (waiting === undefined) endpoint.outgoing.set(to, [bytes]);
        else waiting.push(bytes);
      },
      flush: () => this.flush(endpoint),
      sendSnapshot: (to, source) => this.sendSnapshot(endpoint, to, source),
      close: () => {
        if (this.endpoints.get(id) === endpoint) this.endpoints.delete(id);
        return Promise.resolve();
      },
    };
  }

  /** A packet has come through the network. */
  private deliver(from: number, to: number, packet: PeerPacket): void {
    const target = this.endpoints.get(to);
    const sender = this.endpoints.get(from);
    if (target === undefined || !target.process.alive) return;
    if (sender?.life !== packet.senderLife) {
      this.sim.tally.situation("frame of an earlier process dropped");
      return;
    }
    if (!this.welcomed(sender, target)) return;
    target.process.bind(() => {
      const frames = packet.frames.map((bytes) => v1.PeerFrame.decode(bytes));
      target.events.onFrames(from, frames);
    })();
  }

  /**
   * Whether a process may send to another one: the product's own handshake, once for each pair of processes. It takes no
   * time here, and a process that is stopped takes part in it.
   */
  private welcomed(from: Endpoint, to: Endpoint): boolean {
    if (from.welcomedBy.has(to)) return true;
    const hello = makeHello(from.door.self, to.id, from.incarnations.get(to.id) ?? 0);
    const refusal = refuseHello(hello, to.door.self, to.door.admit, () => null);
    if (refusal !== null) {
      this.sim.tally.situation("peer refused at the handshake");
      const tell = from.process.bind(() => from.events.onRefused?.(to.id, refusal));
      this.sim.after(1, tell);
      return false;
    }
    const welcome = makeWelcome(to.door.self);
    if (refuseWelcome(welcome, to.id, from.door.admit) !== null) return false;
    from.incarnations.set(to.id, welcome.incarnation ?? 0);
    from.welcomedBy.add(to);
    return true;
  }

  private flush(endpoint: Endpoint): void {
    const { outgoing } = endpoint;
    if (outgoing.size === 0) return;
    endpoint.outgoing = new Map();
    if (!endpoint.process.alive) return;
    for (const [to, frames] of outgoing) {
      const packet = { frames, senderLife: endpoint.life };
      this.network.send(endpoint.id, to, () => this.deliver(endpoint.id, to, packet));
    }
  }

  private reachable(from: Endpoint, to: number): boolean {
    const target = this.endpoints.get(to);
    if (target === undefined || !target.process.alive) return false;
    return !this.network.isBlocked(from.id, to) && !this.network.isBlocked(to, from.id);
  }

  private answers(from: Endpoint, to: number): boolean {
    const target = this.endpoints.get(to);
    return target !== undefined && this.welcomed(from, target);
  }

  /** A process that ended breaks its links at once; a partition is noticed by keepalives, a little later. */
  private checkLinks(): void {
    for (const endpoint of this.endpoints.values()) {
      if (!endpoint.process.alive) continue;
      const wanted = new Set([...endpoint.peers.map((peer) => peer.raftId), ...endpoint.up]);
      for (const peer of wanted) {
        if (peer === endpoint.id) continue;
        const now = this.reachable(endpoint, peer) && this.answers(endpoint, peer);
        if (now === endpoint.up.has(peer)) continue;
        if (now) endpoint.up.add(peer);
        else endpoint.up.delete(peer);
        const { events } = endpoint;
        const tell = now ? () => events.onConnected(peer) : () => events.onDisconnected(peer, "link broken");
        this.sim.after(1, endpoint.process.bind(tell));
      }
    }
    this.sim.after(LINK_CHECK_US, () => this.checkLinks());
  }

  private pause(us: number): Promise<void> {
    return new Promise((resolve) => this.sim.after(us, resolve));
  }

  /** What the receiver answers, or nothing once its link is broken: a process that ended never answers. */
  private whileUsable<T>(answer: Promise<T>, usable: () => boolean): Promise<T | null> {
    return new Promise((resolve, reject) => {
      let open = true;
      const end = (settle: () => void): void => {
        open = false;
        settle();
      };
      answer.then(
        (value) => end(() => resolve(value)),
        (error: unknown) => end(() => reject(error as Error)),
      );
      const look = (): void => {
        if (!open) return;
        if (!usable()) end(() => resolve(null));
        else this.sim.after(LINK_CHECK_US, look);
      };
      this.sim.after(LINK_CHECK_US, look);
    });
  }

  private async sendSnapshot(from: Endpoint, to: number, source: SnapshotSource): Promise<boolean> {
    const target = this.endpoints.get(to);
    const usable = (): boolean =>
      from.process.alive && this.endpoints.get(to) === target && this.reachable(from, to);
    try {
      const first = await source.next();
      await this.pause(500);
      if (target === undefined || !usable() || !this.welcomed(from, target)) return false;
      const sink = target.events.onSnapshot(from.id, first);
      if (sink === null) return false;
      for (let chunk = first; ; chunk = await source.next()) {
        const copy = v1.SnapshotChunk.decode(v1.SnapshotChunk.encode(chunk).finish());
        if (Number(copy.sequence) >= sink.nextSequence) await this.whileUsable(sink.chunk(copy), usable);
        await this.pause(300);
        if (!usable()) {
          this.sim.tally.fault("snapshot stream broken");
          if (target.process.alive) sink.abort("link broken");
          return false;
        }
        if (chunk.last) return (await this.whileUsable(sink.finish(), usable)) === true;
      }
    } catch {
      return false;
    } finally {
      source.close();
    }
  }
}
