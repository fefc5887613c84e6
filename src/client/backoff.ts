import type { Random } from "../runtime/api.js";

/** Growing pauses with jitter, so that many clients that lost the same node do not come back in step. */
export class Backoff {
  readonly #random: Random;
  readonly #firstMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(random: Random, firstMs: number, maxMs: number) {
    this.#random = random;
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#nextMs = firstMs;
  }

  /** The next pause in ms: uniform between half of the present step and all of it. */
  next(): number {
    const stepMs = this.#nextMs;
    this.#nextMs = Math.min(this.#maxMs, stepMs * 2);
    return stepMs / 2 + this.#random.below(Math.max(1, Math.ceil(stepMs / 2)));
  }

  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
