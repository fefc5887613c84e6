import type { Applied } from "../../state/api.js";
import { ErrorCode } from "../../wire/errors.js";
import { toBigInt, type v1 } from "../../wire/index.js";
import { type Entry, type Finish, key, OPEN, type Rule, violated } from "./rule.js";

/** What the holder of a new lock held before, by handle. */
type Before = ReadonlyMap<string, readonly v1.ILockRecord[]>;

/**
 * Byte-range locks: what is held never conflicts, a failed array leaves nothing behind, the repeat of a request is known
 * by its bucket, and whoever waits is not overtaken (semantics.md B3, F2).
 */
export class LockRule implements Rule {
  /** Number of the last request that succeeded, by handle and bucket. */
  private readonly buckets = new Map<string, number>();
  private readonly parked = new Map<number, v1.ILock>();

  begin(entry: Entry): Finish | null {
    const { lock } = entry.command;
    if (!lock && this.parked.size === 0) return null;
    const before = this.heldBefore(entry);
    return (applied) => {
      if (lock) this.asked(entry, lock, before, applied.result);
      this.letGo(entry, before, applied);
    };
  }

  private heldBefore(entry: Entry): Before {
    const before = new Map<string, readonly v1.ILockRecord[]>();
    for (const lock of [entry.command.lock, ...this.parked.values()])
      if (lock) before.set(key(lock.handleId), [...(entry.view.handle(lock.handleId ?? NONE)?.locks ?? [])]);
    return before;
  }

  private asked(entry: Entry, lock: v1.ILock, before: Before, result: v1.ICommandResult): void {
    if (result.repeated) return;
    const code = result.error?.code ?? 0;
    const bucket = bucketOf(entry, lock);
    const repeats = bucket !== null && this.buckets.get(bucket) === (lock.sequenceNumber ?? 0) % 16;
    const wrong = code === ErrorCode.LOCK_NOT_GRANTED || code === ErrorCode.RANGE_NOT_LOCKED;
    if (repeats && (wrong || (code === 0 && result.lock?.replayed !== true)))
      violated(
        "lock sequence",
        entry,
        `bucket ${lock.sequenceIndex} knows this request, and it was executed again`,
      );
    if (code === ErrorCode.LOCK_NOT_GRANTED) {
      const after = entry.view.handle(lock.handleId ?? NONE)?.locks?.length ?? 0;
      const more = after - (before.get(key(lock.handleId))?.length ?? 0);
      if (more !== 0) violated("lock array", entry, `it failed, and left ${more} locks behind`);
    }
    if (result.lock?.parked) this.parked.set(result.lock.pendingId ?? 0, lock);
    if (repeats) return;
    if (bucket !== null && (code === 0 || wrong)) this.buckets.delete(bucket);
    if (code !== 0 || result.lock?.parked) return;
    this.overtook(entry, lock, before, Number.POSITIVE_INFINITY);
    this.granted(entry, lock);
  }

  private letGo(entry: Entry, before: Before, { events }: Applied): void {
    for (const { pendingDone } of events) {
      const lock = this.parked.get(pendingDone?.pendingId ?? 0);
      if (lock === undefined) continue;
      this.parked.delete(pendingDone?.pendingId ?? 0);
      if (pendingDone?.result?.error) continue;
      this.overtook(entry, lock, before, pendingDone?.pendingId ?? 0);
      this.granted(entry, lock);
    }
  }

  /** Nobody gets a range that another has been waiting for longer, but one that holds what the other waits for. */
  private overtook(entry: Entry, lock: v1.ILock, before: Before, turn: number): void {
    const wanted = (lock.elements ?? []).filter(({ unlock }) => !unlock);
    const mine = entry.view.handle(lock.handleId ?? NONE);
    if (!mine || wanted.length === 0 || this.parked.size === 0) return;
    const own = [...(before.get(key(mine.id)) ?? [])];
    for (const held of mine.locks ?? []) if (!wanted.some((range) => same(range, held))) own.push(held);
    for (const { id } of entry.view.pending()) {
      const waiting = this.parked.get(id ?? 0);
      if (waiting === undefined || (id ?? 0) >= turn || key(waiting.handleId) === key(mine.id)) continue;
      const other = entry.view.handle(waiting.handleId ?? NONE);
      if (other?.share !== mine.share || other?.fileId !== mine.fileId) continue;
      for (const theirs of waiting.elements ?? []) {
        const range = wanted.find((one) => conflict(one, theirs));
        if (range === undefined || own.some((held) => conflict(held, theirs))) continue;
        violated(
          "waiter overtaken",
          entry,
          `${mine.share}:${mine.path} ${text(range)} was granted; call ${id} waits for ${text(theirs)}`,
        );
      }
    }
  }

  private granted(entry: Entry, lock: v1.ILock): void {
    const bucket = bucketOf(entry, lock);
    if (bucket !== null) this.buckets.set(bucket, (lock.sequenceNumber ?? 0) % 16);
    const mine = entry.view.handle(lock.handleId ?? NONE);
    if (!mine) return;
    for (const other of entry.view.handlesOfFile(mine.share ?? "", mine.fileId ?? "")) {
      if (other.state !== OPEN || key(other.id) === key(mine.id)) continue;
      for (const a of mine.locks ?? [])
        for (const b of other.locks ?? [])
          if (conflict(a, b))
            violated(
              "no lock held twice",
              entry,
              `${mine.share}:${mine.path} ${text(a)} and ${text(b)} are both held`,
            );
    }
  }
}

const NONE = new Uint8Array(0);
/** PLAIN. */
const PLAIN = 1;

function bucketOf(entry: Entry, lock: v1.ILock): string | null {
  const index = lock.sequenceIndex ?? 0;
  if (index < 1 || index > 64 || (entry.view.handle(lock.handleId ?? NONE)?.kind ?? PLAIN) === PLAIN)
    return null;
  return `${key(lock.handleId)}/${index}`;
}

function same(a: v1.ILockElement, b: v1.ILockRecord): boolean {
  return (
    toBigInt(a.offset ?? 0) === toBigInt(b.offset ?? 0) && toBigInt(a.length ?? 0) === toBigInt(b.length ?? 0)
  );
}

function conflict(a: v1.ILockRecord, b: v1.ILockRecord): boolean {
  return ((a.exclusive ?? false) || (b.exclusive ?? false)) && meet(a, b);
}

/** Ranges with a byte in common; an empty one is a point, which only a range around it meets. */
export function meet(a: v1.ILockRecord, b: v1.ILockRecord): boolean {
  const [aFrom, aLength, bFrom, bLength] = [a.offset, a.length, b.offset, b.length].map((n) =>
    toBigInt(n ?? 0),
  ) as [bigint, bigint, bigint, bigint];
  if (aLength === 0n && bLength === 0n) return false;
  if (aLength === 0n) return bFrom < aFrom && aFrom < bFrom + bLength;
  if (bLength === 0n) return aFrom < bFrom && bFrom < aFrom + aLength;
  return aFrom < bFrom + bLength && bFrom < aFrom + aLength;
}

function text(lock: v1.ILockRecord): string {
  return `${lock.exclusive ? "exclusive" : "shared"} ${lock.offset}+${lock.length}`;
}
