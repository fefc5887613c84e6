import { type Message, MessageKind, type RaftId } from "../raft/index.js";
import type { Log } from "../runtime/api.js";
import type { PeerEvents, SnapshotSink } from "../transport/api.js";
import { messageFromWire } from "./raft-codec.js";
import type { v1 } from "../wire/index.js";

/** Where what comes from peers goes. */
export interface InboxHost {
  readonly log: Log;
  stopped(): boolean;
  step(message: Message): void;
  forward(from: RaftId, forward: v1.IForward): void;
  forwardRefused(refused: v1.IForwardRefused): void;
  /** A frame of the layers above. */
  other(from: RaftId, frame: v1.IPeerFrame): void;
  disconnected(peer: RaftId): void;
  snapshot(from: RaftId, first: v1.ISnapshotChunk): SnapshotSink | null;
  schedule(): void;
  /** As `schedule`, for what should not wait for what else this phase of the loop may bring. */
  turnNow(): void;
}

/** Takes what the links bring and hands it to whom it concerns; knows which links are up. */
export class PeerInbox implements PeerEvents {
  private readonly connected = new Set<RaftId>();

  constructor(private readonly host: InboxHost) {}

  isConnected(peer: RaftId): boolean {
    return this.connected.has(peer);
  }

  onFrames(from: RaftId, frames: readonly v1.IPeerFrame[]): void {
    const { host } = this;
    if (host.stopped()) return;
    for (const frame of frames) {
      if (frame.raft) this.batch(from, frame.raft);
      else if (frame.forward) host.forward(from, frame.forward);
      else if (frame.forwardRefused) host.forwardRefused(frame.forwardRefused);
      else host.other(from, frame);
    }
    // A frame is all that its sender had; the leader waits for what becomes of it, or callers for what it commits.
    host.turnNow();
  }

  private batch(from: RaftId, batch: v1.IRaftBatch): void {
    for (const wire of batch.messages ?? []) {
      let message: Message;
      try {
        message = messageFromWire(wire);
      } catch (error) {
        this.host.log.warn({ from, error: String(error) }, "dropped a malformed message");
        continue;
      }
      // Its data comes by a stream of its own; without that it promises what this disk does not hold.
      if (message.kind !== MessageKind.Snapshot) this.host.step(message);
    }
  }

  onConnected(peer: RaftId): void {
    this.connected.add(peer);
    this.host.schedule();
  }

  onDisconnected(peer: RaftId): void {
    this.connected.delete(peer);
    if (this.host.stopped()) return;
    this.host.disconnected(peer);
    this.host.schedule();
  }

  onSnapshot(from: RaftId, first: v1.ISnapshotChunk): SnapshotSink | null {
    return this.host.stopped() ? null : this.host.snapshot(from, first);
  }
}
