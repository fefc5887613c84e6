/** A set of small integers, with a hash that changes with its content. */
export class BitSet {
  private readonly words: Uint32Array;

  /** For members in [0, size). */
  constructor(size: number) {
    this.words = new Uint32Array((size + 31) >>> 5);
  }

  set(member: number): void {
    this.words[member >>> 5] = (this.words[member >>> 5] as number) | (1 << (member & 31));
  }

  clear(member: number): void {
    this.words[member >>> 5] = (this.words[member >>> 5] as number) & ~(1 << (member & 31));
  }

  has(member: number): boolean {
    return ((this.words[member >>> 5] as number) & (1 << (member & 31))) !== 0;
  }

  /** 32 bits; equal sets have equal hashes. */
  hash(): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < this.words.length; i++) {
      hash = Math.imul(hash ^ (this.words[i] as number), 0x01000193);
      hash ^= hash >>> 15;
    }
    return hash >>> 0;
  }

  equals(other: BitSet): boolean {
    if (this.words.length !== other.words.length) return false;
    for (let i = 0; i < this.words.length; i++) if (this.words[i] !== other.words[i]) return false;
    return true;
  }

  clone(): BitSet {
    const copy = new BitSet(this.words.length * 32);
    copy.words.set(this.words);
    return copy;
  }
}
