import type { HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";

/** Who a member is on the wire. Frames of another cluster, another id or an older incarnation are refused. */
export interface PeerIdentity {
  readonly clusterId: string;
  readonly raftId: number;
  readonly incarnation: number;
  readonly name: string;
}

/** A peer as the replica names it. */
export interface PeerTarget {
  readonly raftId: number;
  readonly address: string;
  readonly name: string;
}

/** What a transport tells its owner. */
export interface PeerEvents {
  /** Frames from one peer, in order. What comes in one turn of the loop should be acted on once, at its end. */
  onFrames(from: number, frames: readonly v1.IPeerFrame[]): void;
  onConnected(peer: number): void;
  /** The link broke; the transport dials again by itself, backing off to well below an election timeout (lesson L8). */
  onDisconnected(peer: number, reason: string): void;
  /**
   * The peer answered the handshake with a refusal; the transport goes on dialling. With PERMISSION_DENIED the peer knows
   * this member by another disk: this one was wiped or replaced, and the node should stop.
   */
  onRefused?(peer: number, refusal: HoldfastError): void;
  /** A snapshot begins to arrive: answers the sink that takes it, or null to refuse. */
  onSnapshot(from: number, first: v1.ISnapshotChunk): SnapshotSink | null;
}

/** Receives one snapshot. Chunks come in order; `sequence` tells a resumed transfer where to go on. */
export interface SnapshotSink {
  readonly nextSequence: number;
  /** Resolves when the chunk is stored. */
  chunk(chunk: v1.ISnapshotChunk): Promise<void>;
  /** After the last chunk: resolves true once the snapshot is installed. */
  finish(): Promise<boolean>;
  abort(reason: string): void;
}

/** Reads a snapshot for sending. */
export interface SnapshotSource {
  readonly transferId: string;
  /** The next chunk; `last` on the final one. */
  next(): Promise<v1.ISnapshotChunk>;
  close(): void;
}

/** Links to all peers. `send` never blocks and never throws; what cannot be sent is dropped, as on any network. */
export interface Transport {
  setPeers(peers: readonly PeerTarget[]): void;
  send(to: number, frame: v1.IPeerFrame): void;
  /** Ends the turn: what was sent since the last flush leaves as one write a peer. */
  flush(): void;
  /** Streams a snapshot; resolves true when the peer has installed it. */
  sendSnapshot(to: number, source: SnapshotSource): Promise<boolean>;
  close(): Promise<void>;
}
