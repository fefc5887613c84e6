import type { Message, RaftId } from "../raft/index.js";
import { MessageKind } from "../raft/index.js";
import type { Transport } from "../transport/api.js";
import type { v1 } from "../wire/index.js";
import type { CommitHold } from "./commit-hold.js";
import { messageToWire } from "./raft-codec.js";

/** A frame is closed when it holds about this much, far below what a peer accepts. */
const FRAME_BYTES = 256 * 1024;

/** Collects the core's messages of one turn into one frame a peer (or a few, when they are large). */
export class Outbox {
  constructor(
    private readonly transport: () => Transport,
    private readonly hold: Pick<CommitHold, "sift"> | null = null,
  ) {}

  /** Sends what may leave now; a commit index that goes alone may be kept back for the next append. True: some left. */
  send(messages: readonly Message[]): boolean {
    const now = this.hold?.sift(messages) ?? messages;
    this.post(now);
    return now.length > 0;
  }

  /** Sends them without holding any back. */
  post(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    const frames = new Map<RaftId, { messages: v1.IRaftMessage[]; bytes: number }>();
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i] as Message;
      let frame = frames.get(message.to);
      if (frame === undefined) {
        frame = { messages: [], bytes: 0 };
        frames.set(message.to, frame);
      }
      frame.messages.push(messageToWire(message));
      if (message.kind === MessageKind.Append) frame.bytes += entryBytes(message);
      if (frame.bytes < FRAME_BYTES) continue;
      this.transport().send(message.to, { raft: { messages: frame.messages } });
      frames.delete(message.to);
    }
    for (const [to, frame] of frames) this.transport().send(to, { raft: { messages: frame.messages } });
  }
}

function entryBytes(message: Message): number {
  let bytes = 0;
  const { entries } = message;
  for (let i = 0; i < entries.length; i++) bytes += (entries[i]?.data.length ?? 0) + 16;
  return bytes;
}
