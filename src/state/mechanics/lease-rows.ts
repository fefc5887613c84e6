import { limits } from "../../wire/limits.js";
import type { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { bytesOf, shortHex } from "../ids.js";
import { mutant } from "../mutants.js";
import { leaseText, toLeaseState } from "../rules/lease-state.js";
import type { HandleRow } from "../tables/handles.js";
import type { LeaseRow } from "../tables/leases.js";
import type { Tx } from "../tx.js";

/** Sends the notification and starts the holder's time. */
export function startBreak(tx: Tx, lease: LeaseRow, to: number): void {
  const r = lease.r;
  r.breaking = true;
  r.stored = false;
  r.breakToRequested = to;
  r.breakToRequired = to;
  countEpoch(lease);
  const persistent = [...lease.handles].some((handle) => handle.isProtected);
  r.breakDeadlineMs = tx.nowMs + (persistent ? limits.breakAckPersistentMs : limits.breakAckMs);
  tx.store.deadlines.schedule(lease, r.breakDeadlineMs);
  tx.store.touch(lease);
  notify(tx, lease, to, true);
}

/** Keeps a break for a holder that is away: what it has stays as it is until it is back (semantics.md C6). */
export function storeBreak(tx: Tx, lease: LeaseRow, required: number): void {
  const r = lease.r;
  r.breaking = true;
  r.stored = true;
  r.breakToRequested = r.state;
  r.breakToRequired = required;
  r.breakDeadlineMs = 0;
  tx.store.touch(lease);
}

/** The holder is back: a stored break goes out now, one whose notification may be lost goes out again. */
export function deliverBreak(tx: Tx, lease: LeaseRow): void {
  if (!lease.r.breaking) return;
  if (lease.r.stored) startBreak(tx, lease, lease.r.breakToRequired);
  else notify(tx, lease, lease.r.breakToRequested, true);
}

/** Tells the holder of a lease, through the node that owns its session, what is left of it; nobody when it is away. */
export function notify(tx: Tx, lease: LeaseRow, to: number, ackRequired: boolean): void {
  const holder = lease.reachable();
  if (holder === null) return;
  const r = lease.r;
  tx.emit(
    EventKind.leaseBreak,
    holder.ownerNode,
    `lease ${shortHex(lease.key)} on ${r.share}:${r.path}: ${leaseText(r.state)} to ${leaseText(to)}`,
    {
      sessionId: holder.session.r.id,
      handleId: bytesOf(holder.id),
      clientGuid: r.clientGuid,
      leaseBreak: {
        clientGuid: r.clientGuid,
        key: r.key,
        current: r.state,
        breakTo: to,
        epoch: r.epoch,
        ackRequired,
      },
    },
  );
}

/** Ends a break with this state and lets waiters go on. */
export function endBreak(tx: Tx, lease: LeaseRow, state: number): void {
  const r = lease.r;
  r.breaking = false;
  r.stored = false;
  r.breakToRequested = 0;
  r.breakToRequired = 0;
  r.breakDeadlineMs = 0;
  r.state = toLeaseState(state);
  tx.store.touch(lease);
  tx.wake(r.share, r.path, r.fileId);
}

/** An acknowledgement that answers the notification; a lower target that came meanwhile needs a second one. */
export function acknowledge(tx: Tx, lease: LeaseRow, state: number): void {
  const required = lease.r.breakToRequired;
  if ((state & ~required) === 0) {
    endBreak(tx, lease, state);
    return;
  }
  lease.r.state = toLeaseState(state);
  startBreak(tx, lease, toLeaseState(state & required));
  tx.wake(lease.r.share, lease.r.path, lease.r.fileId);
}

/** Changes the state of a lease outside a break. */
export function setState(tx: Tx, lease: LeaseRow, state: number): void {
  if (lease.r.state === state) return;
  lease.r.state = state;
  countEpoch(lease);
  tx.store.touch(lease);
}

/** The epoch lets a client order a break and a reply that overtook each other: every change counts. */
function countEpoch(lease: LeaseRow): void {
  if (!mutant.leaseEpochStands) lease.r.epoch = (lease.r.epoch + 1) & 0xffff;
}

/** State that a lease will have when the break under way is over; its present one without a break. */
export function comingState(lease: LeaseRow): number {
  return toLeaseState(lease.r.breaking ? lease.r.state & lease.r.breakToRequired : lease.r.state);
}

/** For replies. */
export function leaseRecord(lease: LeaseRow | undefined): v1.ILeaseRecord | null {
  return lease === undefined ? null : lease.toRecord();
}

/** The last handle of a lease takes the lease with it: that answers a break under way with "none". */
export function leaveLease(tx: Tx, handle: HandleRow): void {
  const lease = tx.store.leases.of(handle);
  if (lease === undefined) return;
  lease.handles.delete(handle);
  if (lease.handles.size > 0) return;
  if (lease.r.breaking) endBreak(tx, lease, 0);
  tx.store.leases.remove(lease);
  tx.store.drop(lease);
}
