/** Of this many slots at most three quarters are used; a set in JavaScript ends at 2^24 entries, and takes five times the space. */
const FULL = 0.75;

/** A set of whole numbers from 0 to 2^53-2 in eight bytes each, for many millions of them. */
export class KeySet {
  private slots = new Float64Array(1 << 16);
  private used = 0;

  get size(): number {
    return this.used;
  }

  /** False when it is in the set already. */
  add(key: number): boolean {
    if (!put(this.slots, key + 1)) return false;
    if (++this.used > this.slots.length * FULL) this.grow();
    return true;
  }

  has(key: number): boolean {
    const { slots } = this;
    for (let at = place(slots, key + 1); ; at = (at + 1) & (slots.length - 1)) {
      if (slots[at] === key + 1) return true;
      if (slots[at] === 0) return false;
    }
  }

  private grow(): void {
    const before = this.slots;
    this.slots = new Float64Array(before.length * 2);
    for (const value of before) if (value !== 0) put(this.slots, value);
  }
}

/** False when the value is there already. Zero is an empty slot. */
function put(slots: Float64Array, value: number): boolean {
  const mask = slots.length - 1;
  let at = place(slots, value);
  for (; slots[at] !== 0; at = (at + 1) & mask) if (slots[at] === value) return false;
  slots[at] = value;
  return true;
}

/** Keys are hashes: their low bits are as good as any. */
function place(slots: Float64Array, value: number): number {
  return (value % 4294967296) & (slots.length - 1);
}
