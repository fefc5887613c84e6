import { ErrorCode } from "../../wire/errors.js";
import { limits } from "../../wire/limits.js";
import { v1 } from "../../wire/index.js";
import { sameBytes } from "../../wire/same-bytes.js";
import { EventKind } from "../events.js";
import { bytesOf, type Id, idOf } from "../ids.js";
import { mutant } from "../mutants.js";
import { isValidRange, lockForbids, type RangeUse, sameRange } from "../rules/lock-conflict.js";
import { type HandleRow, type HeldLock, heldLock } from "../tables/handles.js";
import type { PendingRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { breakLeases } from "./breaks.js";
import { announcedLocks, announceLocks, nodesToPrepare } from "./file-locks.js";
import { waitingText } from "./holders.js";
import { finishPending, park } from "./parking.js";

/** A lock or unlock request that is to be executed, for the first time or again after it was parked. */
export interface LockAttempt {
  readonly session: SessionRow;
  readonly handle: HandleRow;
  readonly command: v1.ILock;
  readonly digest: Id;
  readonly parked: PendingRow | null;
}

/** Refusals that need nothing but the request (semantics.md B3, F2). */
export function lockProblem(
  handle: HandleRow,
  elements: readonly v1.ILockElement[],
): v1.ICommandResult | null {
  if (handle.directory) return fail(ErrorCode.INVALID_PARAMETER, "directories have no byte-range locks");
  const count = elements.length;
  if (count === 0) return fail(ErrorCode.INVALID_PARAMETER, "the request has no ranges");
  if (count > limits.lockElementsMax)
    return fail(
      ErrorCode.LIMIT_EXCEEDED,
      `${count} ranges; one request has at most ${limits.lockElementsMax}`,
    );
  const unlocks = elements.filter((element) => element.unlock).length;
  if (unlocks !== 0 && unlocks !== count)
    return fail(ErrorCode.INVALID_PARAMETER, "locks and unlocks cannot be mixed in one request");
  if (unlocks === 0 && count > 1 && !elements.every((element) => element.failImmediately))
    return fail(ErrorCode.INVALID_PARAMETER, "several locks in one request must all fail immediately");
  for (const element of elements) {
    if (isValidRange(heldLock(element))) continue;
    return fail(ErrorCode.INVALID_LOCK_RANGE, `range ${element.offset}+${element.length} ends beyond 2^64-1`);
  }
  return null;
}

/**
 * The lock sequence bucket: the same number again is answered with success and nothing is done; another number makes the
 * bucket invalid until the request has succeeded, so that the repeat of a failed one runs (semantics.md B3).
 */
export function bucketAnswers(tx: Tx, handle: HandleRow, command: v1.ILock): boolean {
  if (!hasBucket(handle, command)) return false;
  const index = command.sequenceIndex ?? 0;
  const there = handle.buckets.find((bucket) => (bucket.index ?? 0) === index);
  if (there === undefined) return false;
  if ((there.number ?? 0) === bucketNumber(command)) return true;
  handle.buckets = handle.buckets.filter((bucket) => bucket !== there);
  tx.touchHandle(handle);
  return false;
}

function hasBucket(handle: HandleRow, command: v1.ILock): boolean {
  const index = command.sequenceIndex ?? 0;
  return handle.kind !== v1.HandleKind.PLAIN && index >= 1 && index <= 64;
}

function bucketNumber(command: v1.ILock): number {
  return (command.sequenceNumber ?? 0) & 15;
}

/** A repeat with the same bucket takes the place of its original that still waits. */
export function supersedeParked(tx: Tx, handle: HandleRow, command: v1.ILock): void {
  if (tx.store.pending.byId.size === 0 || !hasBucket(handle, command)) return;
  for (const pending of tx.store.pending.ofSession(handle.session.r.id)) {
    const original = v1.Command.decode(pending.r.command).lock;
    if (!original || !sameBytes(pending.r.handleId, bytesOf(handle.id))) continue;
    if ((original.sequenceIndex ?? 0) !== (command.sequenceIndex ?? 0)) continue;
    if (bucketNumber(original) !== bucketNumber(command)) continue;
    finishPending(tx, pending, fail(ErrorCode.CANCELLED, "the request was sent again"));
  }
}

/** Releases ranges in order. Each has to match a lock exactly; what was released before a mismatch stays released. */
export function unlock(tx: Tx, handle: HandleRow, command: v1.ILock): v1.ICommandResult {
  const kept = handle.locks.slice();
  let missing: HeldLock | null = null;
  for (const element of command.elements ?? []) {
    const range = heldLock(element);
    const at = kept.findIndex((lock) => sameRange(lock, range));
    if (at < 0) {
      missing = range;
      break;
    }
    kept.splice(at, 1);
  }
  if (kept.length !== handle.locks.length) setLocks(tx, handle, kept);
  if (missing !== null)
    return fail(
      ErrorCode.RANGE_NOT_LOCKED,
      `range ${missing.offset}+${missing.length} is not locked by this handle`,
    );
  storeBucket(tx, handle, command);
  tx.wakeHandle(handle);
  return lockResult(handle);
}

/**
 * Takes locks: all of them or none. Others' leases are broken first; a conflict is refused or waits; then every other node
 * that has the file open must enforce the ranges before they are granted.
 */
export function attemptLock(tx: Tx, attempt: LockAttempt): v1.ICommandResult {
  const { handle, command } = attempt;
  const elements = command.elements ?? [];
  const waiting = breakLeases(tx, handle.share, handle.fileId, "lock", handle);
  if (waiting.length > 0) return parkLock(tx, attempt, waitingText(waiting));
  const taken = handle.locks.slice();
  for (const element of elements) {
    const lock = heldLock(element);
    const holder = conflictingHolder(tx, handle, taken, lock);
    if (holder !== null) {
      if (mutant.lockRollbackMissing && taken.length > handle.locks.length) setLocks(tx, handle, taken);
      if (element.failImmediately)
        return fail(ErrorCode.LOCK_NOT_GRANTED, `range ${lock.offset}+${lock.length} is locked`);
      return parkLock(tx, attempt, `a lock on ${handle.share}:${handle.path}`);
    }
    if (isBehind(tx, attempt, lock)) {
      if (element.failImmediately)
        return fail(ErrorCode.LOCK_NOT_GRANTED, `others wait for range ${lock.offset}+${lock.length}`);
      return parkLock(tx, attempt, `its turn at ${handle.share}:${handle.path}`);
    }
    taken.push(lock);
  }
  if (taken.length > limits.locksPerHandleMax)
    return fail(ErrorCode.LIMIT_EXCEEDED, `a handle has at most ${limits.locksPerHandleMax} locks`);
  if (!isPrepared(tx, attempt)) return prepare(tx, attempt);
  setLocks(tx, handle, taken);
  storeBucket(tx, handle, command);
  tx.touchHandle(handle);
  return lockResult(handle);
}

function conflictingHolder(
  tx: Tx,
  handle: HandleRow,
  own: readonly HeldLock[],
  wanted: HeldLock,
): HandleRow | null {
  const use = useOf(wanted);
  if (own.some((lock) => lockForbids(lock, true, use, wanted))) return handle;
  for (const other of tx.store.handles.ofFile(handle.share, handle.fileId)) {
    if (other === handle || other.locks.length === 0) continue;
    if (other.locks.some((lock) => lockForbids(lock, false, use, wanted))) return other;
  }
  return null;
}

/**
 * True when somebody waits already for a range that meets this one: else a few that take turns at it would keep him waiting
 * for ever. Whoever holds what he waits for may go on, or both would wait. Parked calls are state: their order outlives
 * every owner and leader.
 */
function isBehind(tx: Tx, attempt: LockAttempt, wanted: HeldLock): boolean {
  if (tx.store.pending.byId.size === 0 || mutant.lockWaiterOvertaken) return false;
  const { handle, parked } = attempt;
  return tx.store.pending.ofFile(handle.share, handle.fileId).some((other) => {
    if (parked !== null && other.r.id >= parked.r.id) return false;
    if (idOf(other.r.handleId) === handle.id) return false;
    const elements = v1.Command.decode(other.r.command).lock?.elements ?? [];
    return elements.map(heldLock).some((range) => {
      const waitsForUs = handle.locks.some((own) => lockForbids(own, false, useOf(range), range));
      return !waitsForUs && lockForbids(range, false, useOf(wanted), wanted);
    });
  });
}

function useOf(lock: HeldLock): RangeUse {
  return lock.exclusive ? "lockExclusive" : "lockShared";
}

function isPrepared(tx: Tx, attempt: LockAttempt): boolean {
  const pending = attempt.parked;
  if (pending?.r.prepared) return pending.r.preparing.length === 0;
  return nodesToPrepare(tx, attempt.handle).length === 0;
}

/** Announces the ranges to the other nodes; the lock waits for their answers. */
function prepare(tx: Tx, attempt: LockAttempt): v1.ICommandResult {
  const { handle } = attempt;
  const interim = parkLock(tx, attempt, "other nodes, which have the file open");
  const pending = attempt.parked ?? tx.store.pending.byId.get(interim.lock?.pendingId ?? 0);
  if (pending === undefined || pending.r.prepared) return interim;
  pending.r.prepared = true;
  pending.r.preparing = nodesToPrepare(tx, handle);
  tx.store.touch(pending);
  const lockPrepare: v1.ILockPrepare = {
    pendingId: pending.r.id,
    share: handle.share,
    fileId: handle.fileId,
    ranges: announcedLocks(pending),
  };
  for (const node of pending.r.preparing)
    tx.emit(
      EventKind.lockPrepare,
      node.node ?? "",
      `lock ${pending.r.id} on ${handle.share}:${handle.path}`,
      {
        lockPrepare,
      },
    );
  return interim;
}

function parkLock(tx: Tx, attempt: LockAttempt, waitsFor: string): v1.ICommandResult {
  const { handle, command, parked } = attempt;
  if (parked !== null) {
    parked.r.waitsFor = waitsFor;
    tx.store.touch(parked);
    return { lock: { parked: true, pendingId: parked.r.id } };
  }
  const pending = park(tx, attempt.session, {
    command: { lock: command },
    request: command.request,
    digest: attempt.digest,
    handleId: handle.id,
    share: handle.share,
    path: handle.path,
    fileId: handle.fileId,
    waitsFor,
  });
  return { lock: { parked: true, pendingId: pending.r.id } };
}

function setLocks(tx: Tx, handle: HandleRow, locks: readonly HeldLock[]): void {
  tx.store.handles.lockCount += locks.length - handle.locks.length;
  handle.locks = locks;
  tx.touchHandle(handle);
  announceLocks(tx, handle);
}

function storeBucket(tx: Tx, handle: HandleRow, command: v1.ILock): void {
  if (!hasBucket(handle, command) || mutant.lockBucketNotStored) return;
  const index = command.sequenceIndex ?? 0;
  const others = handle.buckets.filter((bucket) => (bucket.index ?? 0) !== index);
  handle.buckets = [...others, { index, number: bucketNumber(command) }];
  tx.touchHandle(handle);
}

/** What the handle holds now. */
export function lockResult(handle: HandleRow, replayed = false): v1.ICommandResult {
  return { lock: { held: handle.locks.map((lock) => ({ ...lock })) as v1.ILockRecord[], replayed } };
}

/**
 * A node enforces a parked lock from now on, or runs nothing any more. Calls that have all their answers are tried again.
 */
export function nodePrepared(tx: Tx, pending: PendingRow, node: string, incarnation: number): void {
  for (const list of ["preparing", "ending"] as const) {
    const left = pending.r[list].filter(
      (waiting) => waiting.node !== node || (waiting.incarnation ?? 0) > incarnation,
    );
    if (left.length === pending.r[list].length) continue;
    pending.r[list] = left;
    tx.store.touch(pending);
    if (left.length > 0) continue;
    tx.woken.add(pending);
    if (list === "ending") tx.wake(pending.r.share, pending.r.path, pending.r.fileId);
  }
}

/** A dead node counts as having answered. */
export function nodeGone(tx: Tx, node: string, incarnation: number): void {
  for (const pending of tx.store.pending.byId.values()) {
    if (pending.r.preparing.length > 0 || pending.r.ending.length > 0)
      nodePrepared(tx, pending, node, incarnation);
  }
}
