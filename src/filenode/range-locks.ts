import { toBigInt, type v1 } from "../wire/index.js";

/**
 * A byte-range lock as I/O meets it. Positions are numbers: file data ends far below 2^53, so what lies beyond is
 * Infinity. `last` is offset + length - 1, also for zero length, as FSA compares (semantics.md F2).
 */
export interface RangeLock {
  readonly handle: string;
  readonly offset: number;
  readonly last: number;
  readonly exclusive: boolean;
}

const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** From the wire form. */
export function rangeLock(handle: string, lock: v1.ILockRecord): RangeLock {
  const offset = toBigInt(lock.offset);
  const last = offset + toBigInt(lock.length) - 1n;
  return { handle, offset: clamp(offset), last: clamp(last), exclusive: lock.exclusive ?? false };
}

function clamp(position: bigint): number {
  return position > SAFE ? Number.POSITIVE_INFINITY : Number(position);
}

/**
 * The lock that stands against an I/O of `handle` on [offset, offset + length), or undefined. Locks are mandatory: a
 * read is stopped by an exclusive lock of another open, a write by any lock of another and by an own shared one.
 */
export function conflictingLock(
  locks: readonly RangeLock[],
  handle: string,
  offset: number,
  length: number,
  write: boolean,
): RangeLock | undefined {
  if (length === 0) return undefined;
  const last = offset + length - 1;
  for (const lock of locks) {
    if (lock.offset > last || lock.last < offset) continue;
    if (lock.handle === handle ? write && !lock.exclusive : write || lock.exclusive) return lock;
  }
  return undefined;
}
