import type { PeerEvents, PeerTarget, SnapshotSource, Transport } from "../../src/transport/api.js";
import { v1 } from "../../src/wire/index.js";
import type { World } from "./world.js";

interface Endpoint {
  readonly id: number;
  readonly events: PeerEvents;
  peers: readonly PeerTarget[];
  readonly links: Set<number>;
  closed: boolean;
}

/** Peer links in memory: latency, cuts, and a filter that may drop or double single frames. */
export class MemoryNetwork {
  private readonly endpoints = new Map<number, Endpoint>();
  private readonly cuts = new Set<string>();
  latencyMs = 0.2;
  /** How many copies of a frame arrive. */
  copies: (from: number, to: number, frame: v1.IPeerFrame) => number = () => 1;
  snapshots = 0;

  constructor(private readonly world: World) {}

  join(id: number, events: PeerEvents): Transport {
    const endpoint: Endpoint = { id, events, peers: [], links: new Set(), closed: false };
    this.endpoints.set(id, endpoint);
    return {
      setPeers: (peers) => {
        endpoint.peers = peers;
        this.world.scheduler.soon(() => this.relink());
      },
      send: (to, frame) => this.deliver(endpoint, to, frame),
      flush: () => {},
      sendSnapshot: (to, source) => this.sendSnapshot(endpoint, to, source),
      close: () => {
        this.leave(id);
        return Promise.resolve();
      },
    };
  }

  /** The process ends: its peers see their links break. */
  leave(id: number): void {
    const endpoint = this.endpoints.get(id);
    if (endpoint === undefined) return;
    endpoint.closed = true;
    this.endpoints.delete(id);
    this.relink();
  }

  /** Cuts the link between two members both ways; `silent`: nobody is told, as when packets are dropped. */
  cut(a: number, b: number, silent = false): void {
    this.cuts.add(key(a, b));
    if (!silent) this.relink();
  }

  heal(): void {
    this.cuts.clear();
    this.relink();
  }

  private connected(a: number, b: number): boolean {
    return this.endpoints.has(a) && this.endpoints.has(b) && !this.cuts.has(key(a, b));
  }

  private relink(): void {
    for (const endpoint of this.endpoints.values()) {
      for (const peer of new Set([...endpoint.peers.map((p) => p.raftId), ...endpoint.links])) {
        const up = this.connected(endpoint.id, peer);
        if (up === endpoint.links.has(peer)) continue;
        if (up) endpoint.links.add(peer);
        else endpoint.links.delete(peer);
        this.world.scheduler.soon(() => {
          if (endpoint.closed) return;
          if (up) endpoint.events.onConnected(peer);
          else endpoint.events.onDisconnected(peer, "cut");
        });
      }
    }
  }

  private deliver(from: Endpoint, to: number, frame: v1.IPeerFrame): void {
    if (from.closed) return;
    // Encoded and decoded, so that nothing is shared between members that a wire would not carry.
    const bytes = v1.PeerFrame.encode(frame).finish();
    for (let copy = this.copies(from.id, to, frame); copy > 0; copy--) {
      this.world.scheduler.after(this.latencyMs, () => {
        const target = this.endpoints.get(to);
        if (target !== undefined && this.connected(from.id, to))
          target.events.onFrames(from.id, [v1.PeerFrame.decode(bytes)]);
      });
    }
  }

  private async sendSnapshot(from: Endpoint, to: number, source: SnapshotSource): Promise<boolean> {
    const pause = (): Promise<void> => new Promise((go) => this.world.scheduler.after(this.latencyMs, go));
    const first = await source.next();
    await pause();
    const sink = this.endpoints.get(to)?.events.onSnapshot(from.id, first) ?? null;
    if (sink === null || !this.connected(from.id, to)) return false;
    this.snapshots++;
    for (let chunk = first; ; chunk = await source.next()) {
      await sink.chunk(v1.SnapshotChunk.decode(v1.SnapshotChunk.encode(chunk).finish()));
      await pause();
      if (!this.connected(from.id, to)) {
        sink.abort("cut");
        return false;
      }
      if (chunk.last) return sink.finish();
    }
  }
}

function key(a: number, b: number): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}
