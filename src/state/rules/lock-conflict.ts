import { toBigInt, U64_MAX } from "../../wire/index.js";
import { mutant } from "../mutants.js";
import type { HeldLock } from "../tables/handles.js";

/** What somebody wants to do with a range. */
export type RangeUse = "read" | "write" | "lockShared" | "lockExclusive";

/** Conflicts of one kind of existing lock with a use, by the same open and by another (semantics.md F2). */
const CONFLICTS: Record<"shared" | "exclusive", Record<"same" | "other", Record<RangeUse, boolean>>> = {
  shared: {
    same: { read: false, write: true, lockShared: false, lockExclusive: true },
    other: { read: false, write: true, lockShared: false, lockExclusive: true },
  },
  exclusive: {
    same: { read: false, write: false, lockShared: false, lockExclusive: true },
    other: { read: true, write: true, lockShared: true, lockExclusive: true },
  },
};

/** A range in bytes. */
export interface Range {
  readonly offset: number | bigint;
  readonly length: number | bigint;
}

/** False when the last byte would lie beyond 2^64-1. */
export function isValidRange(range: Range): boolean {
  if (typeof range.offset === "number" && typeof range.length === "number") return true;
  const length = toBigInt(range.length);
  return length === 0n || toBigInt(range.offset) + length - 1n <= U64_MAX;
}

/**
 * True when the ranges meet. An empty range is a point between two bytes: it meets a range that strictly spans it, and
 * the point zero meets nothing.
 */
export function rangesMeet(a: Range, b: Range): boolean {
  if (isSmall(a) && isSmall(b)) return meetNumbers(a.offset, a.length, b.offset, b.length);
  return meetBig(toBigInt(a.offset), toBigInt(a.length), toBigInt(b.offset), toBigInt(b.length));
}

function isSmall(range: Range): range is { offset: number; length: number } {
  return (
    typeof range.offset === "number" &&
    typeof range.length === "number" &&
    range.offset + range.length <= Number.MAX_SAFE_INTEGER
  );
}

function meetNumbers(aOffset: number, aLength: number, bOffset: number, bLength: number): boolean {
  const edge = mutant.lockOverlapOffByOne ? 1 : 0;
  if (aLength === 0 && bLength === 0) return false;
  if (aLength === 0) return bOffset < aOffset && aOffset < bOffset + bLength;
  if (bLength === 0) return aOffset < bOffset && bOffset < aOffset + aLength;
  return aOffset < bOffset + bLength - edge && bOffset < aOffset + aLength - edge;
}

function meetBig(aOffset: bigint, aLength: bigint, bOffset: bigint, bLength: bigint): boolean {
  if (aLength === 0n && bLength === 0n) return false;
  if (aLength === 0n) return bOffset < aOffset && aOffset < bOffset + bLength;
  if (bLength === 0n) return aOffset < bOffset && bOffset < aOffset + aLength;
  return aOffset < bOffset + bLength && bOffset < aOffset + aLength;
}

/** True when an existing lock forbids the use of the range. */
export function lockForbids(lock: HeldLock, sameOpen: boolean, use: RangeUse, range: Range): boolean {
  if (!rangesMeet(lock, range)) return false;
  if (mutant.lockSharedConflictMissed && !lock.exclusive && !sameOpen && use === "lockExclusive")
    return false;
  return CONFLICTS[lock.exclusive ? "exclusive" : "shared"][sameOpen ? "same" : "other"][use];
}

/** True when both name the same range: unlock has to match a lock exactly. */
export function sameRange(a: Range, b: Range): boolean {
  return toBigInt(a.offset) === toBigInt(b.offset) && toBigInt(a.length) === toBigInt(b.length);
}
