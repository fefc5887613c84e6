import { broken } from "../invariant.js";
import { mutant } from "../mutants.js";
import type { Index } from "../types.js";

const INITIAL_SLOTS = 8;

/**
 * Appends on their way to one peer: a ring of (last index, bytes), bounded in messages and in bytes (lesson L14). Made
 * anew, never reset, when the peer changes state, so that no quota can leak (lesson L16).
 */
export class Inflights {
  private start = 0;
  count = 0;
  bytes = 0;
  private indexes: number[] = [];
  private sizes: number[] = [];

  constructor(
    private readonly messagesMax: number,
    private readonly bytesMax: number,
  ) {}

  get full(): boolean {
    return this.count >= this.messagesMax || (this.bytes >= this.bytesMax && !mutant.windowInMessagesOnly);
  }

  /** Records an append that ends at `index`; indexes only grow. */
  add(index: Index, bytes: number): void {
    // Asked for here once more, apart from `full`: an unbounded window shows only when memory runs out (lesson L14).
    if (this.count >= this.messagesMax)
      broken("room in the append window in messages", this.count, this.messagesMax);
    if (this.bytes >= this.bytesMax) broken("room in the append window in bytes", this.bytes, this.bytesMax);
    if (this.count === this.indexes.length) this.grow();
    const slot = (this.start + this.count) % this.indexes.length;
    this.indexes[slot] = index;
    this.sizes[slot] = bytes;
    this.count++;
    this.bytes += bytes;
  }

  /** Frees every append that ends at or below `index`. */
  freeTo(index: Index): void {
    if (mutant.windowLeak) return;
    while (this.count > 0 && (this.indexes[this.start] as number) <= index) {
      this.bytes -= this.sizes[this.start] as number;
      this.start = (this.start + 1) % this.indexes.length;
      this.count--;
    }
  }

  /** Doubles the ring: a window of thousands must not be paid for by peers that never fill it. */
  private grow(): void {
    const slots = Math.max(INITIAL_SLOTS, this.indexes.length * 2);
    const indexes = new Array<number>(slots).fill(0);
    const sizes = new Array<number>(slots).fill(0);
    for (let i = 0; i < this.count; i++) {
      const from = (this.start + i) % this.indexes.length;
      indexes[i] = this.indexes[from] as number;
      sizes[i] = this.sizes[from] as number;
    }
    this.indexes = indexes;
    this.sizes = sizes;
    this.start = 0;
  }

  /** Sum over the ring, for the invariant that compares it with `bytes`. */
  sumBytes(): number {
    let sum = 0;
    for (let i = 0; i < this.count; i++) sum += this.sizes[(this.start + i) % this.indexes.length] as number;
    return sum;
  }

  clone(): Inflights {
    const copy = new Inflights(this.messagesMax, this.bytesMax);
    for (let i = 0; i < this.count; i++) {
      const slot = (this.start + i) % this.indexes.length;
      copy.add(this.indexes[slot] as number, this.sizes[slot] as number);
    }
    return copy;
  }

  /** End indexes of the appends in flight, oldest first. For hashing and tests. */
  ends(): number[] {
    const out: number[] = [];
    for (let i = 0; i < this.count; i++)
      out.push(this.indexes[(this.start + i) % this.indexes.length] as number);
    return out;
  }
}
