import { limits } from "./limits.js";
import { sizeAtMost } from "./size-at-most.js";

/** How what was gathered leaves. */
export interface FrameSink<T> {
  one(message: T): void;
  many(messages: T[]): void;
}

/**
 * Collects what one turn of the loop has for a stream, so that it leaves as one frame: a frame costs many times what a
 * call in it costs. Nothing waits for a timer: the frame leaves at the end of the turn, before anything else is read.
 */
export class FrameGather<T extends object> {
  readonly #sink: FrameSink<T>;
  #countMax = 1;
  #messages: T[] = [];
  #bytes = 0;
  #closed = false;

  constructor(sink: FrameSink<T>) {
    this.#sink = sink;
  }

  /** The other side takes this many in one frame; zero: it has not said, and takes one. */
  otherTakes(countMax: number): void {
    this.#countMax = Math.max(1, Math.min(countMax, limits.frameCallsMax));
  }

  push(message: T): void {
    if (this.#countMax === 1) return this.#sink.one(message);
    const bytes = sizeAtMost(message, limits.frameBytes);
    if (this.#bytes + bytes > limits.frameBytes) this.flush();
    this.#bytes += bytes;
    const count = this.#messages.push(message);
    if (count === this.#countMax) this.flush();
    else if (count === 1) queueMicrotask(() => this.flush());
  }

  flush(): void {
    const messages = this.#messages;
    if (messages.length === 0 || this.#closed) return;
    this.#messages = [];
    this.#bytes = 0;
    if (messages.length === 1) this.#sink.one(messages[0] as T);
    else this.#sink.many(messages);
  }

  /** The stream is gone, and what waits for it as well. */
  close(): void {
    this.#closed = true;
    this.#messages = [];
  }
}
