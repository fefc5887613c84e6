import type { v1 } from "../wire/index.js";
import { messageBytes } from "./raft-codec.js";

/**
 * Frames that wait for one peer, bounded in bytes. Core messages of a turn leave together, in frames of about
 * `frameBytes`; other frames keep their place among them.
 */
export class SendQueue {
  readonly #frameBytes: number;
  readonly #bytesMax: number;
  #frames: v1.IPeerFrame[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;

  constructor(frameBytes: number, bytesMax: number) {
    this.#frameBytes = frameBytes;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#head === this.#frames.length;
  }

  /** False when the frame does not fit any more: the newest is dropped, what waits is older and more useful. */
  push(frame: v1.IPeerFrame): boolean {
    const bytes = frameBytes(frame);
    if (this.#bytes + bytes > this.#bytesMax) return false;
    this.#frames.push(frame);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
    return true;
  }

  /** The next frame to write and its size; core messages merged. Only when not empty. */
  take(): { readonly frame: v1.IPeerFrame; readonly bytes: number } {
    const first = this.#frames[this.#head] as v1.IPeerFrame;
    let bytes = this.#shift();
    if (!first.raft?.messages || bytes >= this.#frameBytes || !this.#nextIsRaft())
      return { frame: first, bytes };
    const messages = [...first.raft.messages];
    while (this.#nextIsRaft() && bytes + (this.#sizes[this.#head] as number) <= this.#frameBytes) {
      const more = (this.#frames[this.#head] as v1.IPeerFrame).raft?.messages ?? [];
      for (let i = 0; i < more.length; i++) messages.push(more[i] as v1.IRaftMessage);
      bytes += this.#shift();
    }
    return { frame: { raft: { messages } }, bytes };
  }

  /** Drops everything; answers how many frames that were. */
  clear(): number {
    const dropped = this.#frames.length - this.#head;
    this.#frames = [];
    this.#sizes = [];
    this.#head = 0;
    this.#bytes = 0;
    return dropped;
  }

  #nextIsRaft(): boolean {
    return !!this.#frames[this.#head]?.raft?.messages;
  }

  #shift(): number {
    const bytes = this.#sizes[this.#head++] as number;
    this.#bytes -= bytes;
    if (this.#head === this.#frames.length) this.clear();
    return bytes;
  }
}

/** About the bytes of a frame on the wire. */
export function frameBytes(frame: v1.IPeerFrame): number {
  if (frame.raft?.messages) {
    let bytes = 8;
    for (const message of frame.raft.messages) bytes += messageBytes(message);
    return bytes;
  }
  if (frame.forward?.proposals) {
    let bytes = 16;
    for (const proposal of frame.forward.proposals) bytes += 16 + (proposal.command?.length ?? 0);
    return bytes;
  }
  return 256;
}
