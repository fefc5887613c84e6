import type { Random } from "./api.js";

const TWO_32 = 2 ** 32;

/**
 * xoshiro128** (Blackman and Vigna): 128 bits of state, the same sequence on every machine. For simulation and tests,
 * where one seed fixes everything; never for ids that strangers must not guess.
 */
export class Prng implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** State words as unsigned 32-bit integers, not all zero. */
  constructor(a: number, b: number, c: number, d: number) {
    if ((a | b | c | d) === 0) throw new RangeError("xoshiro128** needs a state that is not all zero");
    this.#a = a >>> 0;
    this.#b = b >>> 0;
    this.#c = c >>> 0;
    this.#d = d >>> 0;
  }

  /** From a seed in 0..2^53-1; the state is drawn by splitmix32, so that neighbouring seeds are unrelated. */
  static fromSeed(seed: number): Prng {
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new RangeError(`a seed is an integer in 0..2^53-1, got ${seed}`);
    const next = splitmix32((seed >>> 0) ^ Math.imul(Math.floor(seed / TWO_32), 0x9e3779b1));
    return new Prng(next(), next(), next(), next() | 1);
  }

  /** The next 32 bits, unsigned. */
  next(): number {
    const scrambled = Math.imul(this.#b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** Uniform in [0, bound), without modulo bias: draws that fall into the incomplete last stretch are drawn again. */
  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > TWO_32)
      throw new RangeError(`bound must be an integer in 1..2^32, got ${bound}`);
    const limit = TWO_32 - (TWO_32 % bound);
    let drawn = this.next();
    while (drawn >= limit) drawn = this.next();
    return drawn % bound;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.next() >>> 24;
    return bytes;
  }

  /** True in `numerator` of `denominator` draws. */
  chance(numerator: number, denominator: number): boolean {
    return this.below(denominator) < numerator;
  }

  /** A generator of its own, so that one component's draws do not shift another's. */
  fork(): Prng {
    return new Prng(this.next(), this.next(), this.next(), this.next() | 1);
  }
}

function splitmix32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}
