import type { Random } from "../../runtime/api.js";

/** 2^-32 */
const UNIT = 1 / 4294967296;

/**
 * A stream of pseudo-random numbers: xoshiro128**, 32 bits at a time with `Math.imul`, the same on every machine.
 * Also a `Random`, so that it can be handed to any component.
 */
export class Prng implements Random {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /** The four words of the state; not all zero. */
  constructor(state: readonly [number, number, number, number]) {
    [this.a, this.b, this.c, this.d] = [state[0] | 0, state[1] | 0, state[2] | 0, state[3] | 0];
    if ((this.a | this.b | this.c | this.d) === 0)
      throw new RangeError("a generator state of zeros stays zero");
  }

  /** The next 32 bits, as an unsigned integer. */
  next(): number {
    const five = Math.imul(this.b, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9) >>> 0;
    const t = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= t;
    this.d = (this.d << 11) | (this.d >>> 21);
    return result;
  }

  /** Uniform integer in [0, bound); the bias of taking the high part of a product is below 2^-32 * bound. */
  below(bound: number): number {
    return Math.floor(this.next() * UNIT * bound);
  }

  /** Uniform integer in [low, high], both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    return this.next() * UNIT;
  }

  /** True with this probability. Draws a number even when the answer is certain, so that rates do not shift streams. */
  chance(probability: number): boolean {
    return this.next() * UNIT < probability;
  }

  /** Exponentially distributed with this mean. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next() * UNIT) * mean;
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("cannot pick from nothing");
    return items[this.below(items.length)] as T;
  }

  /** A shuffled copy. */
  shuffle<T>(items: readonly T[]): T[] {
    const copy = items.slice();
    for (let i = copy.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const kept = copy[i] as T;
      copy[i] = copy[j] as T;
      copy[j] = kept;
    }
    return copy;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) out[i] = this.next() >>> 24;
    return out;
  }
}

/**
 * The root of all chance in a run: each named stream is independent of how much the others are used, so that one fault
 * can be taken out of a failing run without changing the rest.
 */
export class SeedTree {
  constructor(readonly seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new RangeError(`a seed is a whole number from 0 to 2^53-1, but this is ${seed}`);
    }
  }

  /** The stream of this name; the same name gives the same stream again. */
  stream(name: string): Prng {
    let hash = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    const low = this.seed >>> 0;
    const high = Math.floor(this.seed / 4294967296) >>> 0;
    let state = (hash ^ Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b)) >>> 0;
    const word = (): number => {
      // splitmix32: spreads neighbouring seeds over the whole state space.
      state = (state + 0x9e3779b9) >>> 0;
      let z = state ^ low;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    return new Prng([word(), word(), word(), word() | 1]);
  }
}
