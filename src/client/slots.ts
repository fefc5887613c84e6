/**
 * The ids of mutating calls (semantics.md B6). A slot holds one call at a time; its sequence grows by one with each call,
 * and a repeat carries the same pair, so that the cluster can answer it from its reply cache.
 */

/** One slot. While a call holds it, `sequence` is the call's. */
export class Slot {
  readonly index: number;
  /** Of the present or latest call; 0 before the first. */
  sequence = 0;
  /** Every number up to here is known to be used up. */
  #confirmed = 0;

  constructor(index: number) {
    this.index = index;
  }

  /** Takes the number for a new call. */
  advance(): void {
    this.sequence += 1;
  }

  /** The call under `sequence` was answered with what it did, so the number is used up. */
  confirm(): void {
    this.#confirmed = this.sequence;
  }

  /**
   * SEQUENCE_MISORDERED: the number is neither the last nor the next one. Errors decided before the log use up no number,
   * and from outside the two kinds look alike, so the one below is tried, down to the last that is known to be used up.
   * False when there is none left, and the answer stands.
   */
  fallBack(): boolean {
    if (this.sequence - 1 <= this.#confirmed) return false;
    this.sequence -= 1;
    return true;
  }
}

/** All slots of a session. Blocking calls may hold half of them, so that an unlock always finds one. */
export class SlotTable {
  readonly #free: Slot[];
  readonly #blockingMax: number;
  #blocking = 0;

  constructor(count: number) {
    this.#free = Array.from({ length: count }, (_, i) => new Slot(count - 1 - i));
    this.#blockingMax = Math.max(1, Math.floor(count / 2));
  }

  get freeCount(): number {
    return this.#free.length;
  }

  /** A slot with its next number taken, or null when the call has to wait. */
  acquire(blocking: boolean): Slot | null {
    if (blocking && this.#blocking >= this.#blockingMax) return null;
    const slot = this.#free.pop();
    if (slot === undefined) return null;
    if (blocking) this.#blocking += 1;
    slot.advance();
    return slot;
  }

  /** The call in it has ended. */
  release(slot: Slot, blocking: boolean): void {
    if (blocking) this.#blocking -= 1;
    this.#free.push(slot);
  }
}
