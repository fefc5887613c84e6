/** Hashes of the state: equal on every member, so integers only and nothing seeded by the process. */

/** 32-bit hash of bytes (multiply and rotate, four bytes a step). */
export function hash32(bytes: Uint8Array, seed: number): number {
  let h = seed | 0;
  const whole = bytes.length & ~3;
  let i = 0;
  for (; i < whole; i += 4) {
    const word =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    h = step(h, word);
  }
  let rest = 0;
  for (let shift = 0; i < bytes.length; i++, shift += 8) rest |= (bytes[i] as number) << shift;
  return finish(step(h, rest) ^ bytes.length);
}

/** 32-bit hash of a string's UTF-16 units. */
export function hashText(text: string, seed: number): number {
  let h = seed | 0;
  for (let i = 0; i < text.length; i++) h = step(h, text.charCodeAt(i));
  return finish(h ^ text.length);
}

/** 32-bit hash of a non-negative safe integer. */
export function hashNumber(value: number, seed: number): number {
  return finish(step(step(seed | 0, (value % 4294967296) | 0), Math.floor(value / 4294967296)));
}

function step(h: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  k = Math.imul(k, 0x1b873593);
  const mixed = h ^ k;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) | 0;
}

/** Spreads a 32-bit hash over 52 bits, for sums of many. */
export function spread52(hash: number): number {
  const high = finish(hash ^ 0x5bd1e995) & 0xfffff;
  return high * 4294967296 + (hash >>> 0);
}

/**
 * Base-2 logarithm of an integer in [1, 2^32), times 4096, rounded down. Math.log may differ in its last bit between
 * builds of the engine, and a new owner chosen differently on two members would split the state.
 */
export function log2Fixed(value: number): number {
  const whole = 31 - Math.clz32(value >>> 0);
  // Mantissa in [2^15, 2^16): the product of two fits 32 bits, and doubles hold it exactly.
  let mantissa = whole >= 15 ? (value >>> 0) >>> (whole - 15) : (value << (15 - whole)) >>> 0;
  let fraction = 0;
  for (let bit = 0; bit < 12; bit++) {
    const square = mantissa * mantissa;
    fraction <<= 1;
    if (square >= 2147483648) {
      fraction |= 1;
      mantissa = Math.floor(square / 65536);
    } else {
      mantissa = Math.floor(square / 32768);
    }
  }
  return whole * 4096 + fraction;
}
