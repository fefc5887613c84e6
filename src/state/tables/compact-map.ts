import { invariant } from "../row.js";

const FIRST_SLOTS = 16;
/** A key lies at most so many slots behind its own. */
const PROBES_MAX = 128;

/**
 * A map from strings for many entries. The engine's own looks at the text of a key for each entry that it passes, and at all
 * of them each time that it grows: with a million entries nearly all of that are cache misses, half of the time that a node
 * needs to load its state. This one keeps the hashes side by side and looks at a text only where the hash agrees.
 *
 * Keys made to collide would each be compared with all before them. What finds no place near its own goes to a map of the
 * engine, whose hash nobody can foresee; without such keys that is a rare accident.
 *
 * Entries come out in no order to rely on; the same on every member that did the same with it.
 */
export class CompactMap<V> {
  /** Key and value in turn, without gaps. */
  private entries: unknown[] = [];
  private hashes = new Int32Array(roomOf(FIRST_SLOTS));
  /** Number of the entry + 1; zero: free. Linear probing. */
  private slots = new Int32Array(FIRST_SLOTS);
  private count = 0;
  private spilled: Map<string, V> | null = null;

  get size(): number {
    return this.count + (this.spilled?.size ?? 0);
  }

  get(key: string): V | undefined {
    const slot = this.find(key, hashOf(key));
    if (slot < 0) return this.spilled?.get(key);
    return this.entries[2 * (this.slots[slot] as number) - 1] as V;
  }

  has(key: string): boolean {
    return this.find(key, hashOf(key)) >= 0 || this.spilled?.has(key) === true;
  }

  set(key: string, value: V): void {
    const hash = hashOf(key);
    const slot = this.find(key, hash);
    if (slot >= 0) this.entries[2 * (this.slots[slot] as number) - 1] = value;
    else if (this.spilled?.has(key) === true) this.spilled.set(key, value);
    else this.add(key, hash, value);
  }

  delete(key: string): boolean {
    const slot = this.find(key, hashOf(key));
    if (slot < 0) return this.spilled?.delete(key) === true;
    const at = (this.slots[slot] as number) - 1;
    this.free(slot);
    const last = --this.count;
    if (at !== last) this.move(last, at);
    this.entries.length = 2 * last;
    return true;
  }

  *[Symbol.iterator](): Generator<[key: string, value: V], void> {
    for (let i = 0; i < this.count; i++) yield [this.entries[2 * i] as string, this.entries[2 * i + 1] as V];
    if (this.spilled !== null) yield* this.spilled;
  }

  *values(): Generator<V, void> {
    for (let i = 0; i < this.count; i++) yield this.entries[2 * i + 1] as V;
    if (this.spilled !== null) yield* this.spilled.values();
  }

  /** Slot of a key; -1: it is not in the table. */
  private find(key: string, hash: number): number {
    const { slots, hashes, entries } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const number = slots[slot] as number;
      if (number === 0) return -1;
      if (hashes[number - 1] === hash && entries[2 * number - 2] === key) return slot;
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  private add(key: string, hash: number, value: V): void {
    if (this.count === this.hashes.length) this.grow();
    const slot = this.freeSlot(hash);
    if (slot < 0) {
      this.spilled ??= new Map();
      this.spilled.set(key, value);
      return;
    }
    this.hashes[this.count] = hash;
    this.entries.push(key, value);
    this.slots[slot] = ++this.count;
  }

  /** A free slot near enough to where the hash points; -1: there is none. */
  private freeSlot(hash: number): number {
    const { slots } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      if (slots[slot] === 0) return slot;
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  /** Twice the slots. A few thousand entries a map: a tenth of a millisecond. */
  private grow(): void {
    const { entries, hashes, count } = this;
    this.slots = new Int32Array(2 * this.slots.length);
    this.hashes = new Int32Array(roomOf(this.slots.length));
    this.count = 0;
    for (let i = 0; i < count; i++) {
      const hash = hashes[i] as number;
      const slot = this.freeSlot(hash);
      if (slot < 0) {
        this.spilled ??= new Map();
        this.spilled.set(entries[2 * i] as string, entries[2 * i + 1] as V);
        continue;
      }
      const at = this.count++;
      this.hashes[at] = hash;
      entries[2 * at] = entries[2 * i];
      entries[2 * at + 1] = entries[2 * i + 1];
      this.slots[slot] = this.count;
    }
    entries.length = 2 * this.count;
  }

  /** Frees a slot and draws those behind it up, so that no search ends in a gap before its key. */
  private free(slot: number): void {
    const { slots, hashes } = this;
    const mask = slots.length - 1;
    let gap = slot;
    for (let next = (gap + 1) & mask; slots[next] !== 0; next = (next + 1) & mask) {
      const own = (hashes[(slots[next] as number) - 1] as number) & mask;
      if (((next - own) & mask) < ((next - gap) & mask)) continue;
      slots[gap] = slots[next] as number;
      gap = next;
    }
    slots[gap] = 0;
  }

  /** The entry at `from`, the last one, takes the place at `to`. */
  private move(from: number, to: number): void {
    const { entries, hashes, slots } = this;
    const hash = hashes[from] as number;
    const slot = this.find(entries[2 * from] as string, hash);
    invariant(slot >= 0, "the last entry of a map is in its table");
    slots[slot] = to + 1;
    hashes[to] = hash;
    entries[2 * to] = entries[2 * from];
    entries[2 * to + 1] = entries[2 * from + 1];
  }
}

/** Entries for so many slots: five of eight, so that runs of taken slots stay short. */
function roomOf(slots: number): number {
  return (slots / 8) * 5;
}

/** 32-bit hash of a key, of which the lowest bits give its slot. Exported for tests that need keys which collide. */
export function hashOf(key: string): number {
  const { length } = key;
  let h = length;
  for (let i = 0; i < length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
