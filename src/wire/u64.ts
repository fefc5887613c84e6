/**
 * The one place where 64-bit protobuf fields meet JavaScript.
 *
 * protobufjs writes a bigint as 0 without a word and reads 64-bit fields as objects. Here both ends are replaced: a
 * field reads as a number where that is exact and as a bigint above 2^53-1; it is written from either, and anything
 * else (a fraction, a negative, an unsafe number) throws instead of becoming some other number on the wire.
 */
import protobuf from "protobufjs/minimal.js";

/** The largest value of an unsigned 64-bit field. */
export const U64_MAX = (1n << 64n) - 1n;

const TWO_28 = 2 ** 28;
const TWO_32 = 2 ** 32;

/** Widens a decoded 64-bit field. Byte-range locks reach to 2^64-1 and count in bigint; everything else stays a number. */
export function toBigInt(value: number | bigint | null | undefined): bigint {
  return typeof value === "bigint" ? value : BigInt(value ?? 0);
}

/** The value to store in a 64-bit field: a number where that is exact. Throws RangeError outside 0..2^64-1. */
export function fromBigInt(value: bigint): number {
  if (value < 0n || value > U64_MAX) throw new RangeError(`64-bit field out of range: ${value}`);
  return (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value) as number;
}

interface ReaderInternals {
  buf: Uint8Array;
  pos: number;
  len: number;
}

interface WriterInternals {
  buf: Uint8Array;
  pos: number;
  _reserve(bytes: number): void;
}

function readU64(this: ReaderInternals): number | bigint {
  const buf = this.buf;
  let low = 0;
  let shift = 1;
  for (let i = 0; i < 4; i++) {
    const byte = nextByte(this, buf);
    low += (byte & 127) * shift;
    if (byte < 128) return low;
    shift *= 128;
  }
  let middle = 0;
  shift = 1;
  for (let i = 0; i < 4; i++) {
    const byte = nextByte(this, buf);
    middle += (byte & 127) * shift;
    if (byte < 128) return exact(low, middle, 0);
    shift *= 128;
  }
  const ninth = nextByte(this, buf);
  if (ninth < 128) return exact(low, middle, ninth);
  const tenth = nextByte(this, buf);
  if (tenth > 1) throw new RangeError("64-bit varint is longer than ten bytes or overflows");
  return exact(low, middle, (ninth & 127) + tenth * 128);
}

function nextByte(reader: ReaderInternals, buf: Uint8Array): number {
  if (reader.pos >= reader.len) throw new RangeError("64-bit varint ends beyond its message");
  return buf[reader.pos++] as number;
}

function exact(low: number, middle: number, high: number): number | bigint {
  if (high === 0 && middle < 2 ** 25) return low + middle * TWO_28;
  return BigInt(low) + (BigInt(middle) << 28n) + (BigInt(high) << 56n);
}

function writeU64(this: WriterInternals, value: unknown): unknown {
  if (typeof value === "bigint") {
    if (value < 0n || value > U64_MAX) throw new RangeError(`64-bit field out of range: ${value}`);
    writeHalves(this, Number(value & 0xffffffffn), Number(value >> 32n));
  } else {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(
        `64-bit field wants a safe non-negative integer or a bigint, got ${String(value)}`,
      );
    }
    writeHalves(this, (value % TWO_32) >>> 0, Math.floor(value / TWO_32));
  }
  return this;
}

function writeHalves(writer: WriterInternals, low: number, high: number): void {
  writer._reserve(10);
  const buf = writer.buf;
  let pos = writer.pos;
  let lo = low;
  let hi = high;
  while (hi !== 0) {
    buf[pos++] = (lo & 127) | 128;
    lo = ((lo >>> 7) | (hi << 25)) >>> 0;
    hi >>>= 7;
  }
  while (lo > 127) {
    buf[pos++] = (lo & 127) | 128;
    lo >>>= 7;
  }
  buf[pos++] = lo;
  writer.pos = pos;
}

function writeI64(this: WriterInternals, value: unknown): unknown {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    throw new RangeError(`signed 64-bit field wants a safe integer, got ${String(value)}`);
  }
  return writeU64.call(this, value < 0 ? (1n << 64n) + BigInt(value) : value);
}

function readI64(this: ReaderInternals): number {
  const value = readU64.call(this);
  return typeof value === "bigint" ? Number(BigInt.asIntN(64, value)) : value;
}

// An absent 64-bit field would read as a Long object, which is truthy and compares with nothing. Generated code looks here
// when it loads, so this stands before its import.
(protobuf.util as unknown as Record<string, unknown>)["Long"] = undefined;

const reader = protobuf.Reader.prototype as unknown as Record<string, unknown>;
const writer = protobuf.Writer.prototype as unknown as Record<string, unknown>;
// `Reader.create` configures itself lazily and would overwrite what is set before its first call.
protobuf.configure();
reader["uint64"] = readU64;
reader["int64"] = readI64;
writer["uint64"] = writeU64;
writer["int64"] = writeI64;
