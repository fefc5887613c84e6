import type { Call } from "./call.js";

/** First in, first out, without moving what is behind the head. */
class Fifo {
  #items: (Call | undefined)[] = [];
  #head = 0;

  push(call: Call): void {
    this.#items.push(call);
  }

  /** The oldest call that is still wanted, left in place. */
  peek(): Call | null {
    while (this.#head < this.#items.length) {
      const call = this.#items[this.#head] as Call;
      if (call.stage === "queued") return call;
      this.shift();
    }
    return null;
  }

  shift(): void {
    this.#items[this.#head++] = undefined;
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }
}

/**
 * Calls that have not been sent yet, in three lines, because each waits for something else: reads for nothing, mutating
 * calls for a slot, blocking ones for a slot of the part that they may hold.
 */
export class Lanes {
  readonly #plain = new Fifo();
  readonly #mutating = new Fifo();
  readonly #blocking = new Fifo();

  add(call: Call): void {
    if (!call.spec.mutating) this.#plain.push(call);
    else if (call.spec.blocking) this.#blocking.push(call);
    else this.#mutating.push(call);
  }

  /** Hands calls to `take`, oldest of each line first, until it refuses. Settled ones are dropped on the way. */
  drain(take: (call: Call) => boolean): void {
    for (const lane of [this.#plain, this.#mutating, this.#blocking]) {
      for (let call = lane.peek(); call !== null && take(call); call = lane.peek()) lane.shift();
    }
  }
}
