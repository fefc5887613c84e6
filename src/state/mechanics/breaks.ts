import { mutant } from "../mutants.js";
import { type BreakOperation, type BreakRule, breakRule } from "../rules/lease-break.js";
import { toLeaseState } from "../rules/lease-state.js";
import { parentOf } from "../tables/path-index.js";
import type { LeaseRow } from "../tables/leases.js";
import type { Tx } from "../tx.js";
import { closeHandle } from "./closing.js";
import { notify, setState, startBreak, storeBreak } from "./lease-rows.js";
import { byHandleId } from "./order.js";

/** Who acts: its own lease is never broken by what it does. */
export interface Actor {
  readonly client: string;
  readonly leaseKey: string;
}

/**
 * Breaks the leases of others on a file as an operation demands. Answers the leases that it has to wait for; none: go on.
 */
export function breakLeases(
  tx: Tx,
  share: string,
  fileId: string,
  operation: BreakOperation,
  actor: Actor,
): LeaseRow[] {
  const waiting: LeaseRow[] = [];
  for (const lease of tx.store.leases.ofFile(share, fileId)) {
    if (isOwn(lease, actor)) continue;
    if (breakOne(tx, lease, operation) && !mutant.breakWithoutWait) waiting.push(lease);
  }
  return waiting;
}

/** True when the actor holds this lease itself. */
export function isOwn(lease: LeaseRow, actor: Actor): boolean {
  return actor.leaseKey !== "" && lease.client === actor.client && lease.key === actor.leaseKey;
}

/** Breaks one lease as an operation demands; true when the operation has to wait for it. */
export function breakOne(tx: Tx, lease: LeaseRow, operation: BreakOperation): boolean {
  const rule = breakRule(operation, toLeaseState(lease.r.state));
  if (rule === null) return false;
  if (lease.r.breaking) {
    lowerTarget(tx, lease, rule);
    return rule.wait;
  }
  if (lease.reachable() === null) return breakAbsent(tx, lease, rule);
  if (!rule.ack) {
    setState(tx, lease, rule.to);
    notify(tx, lease, rule.to, false);
    return false;
  }
  startBreak(tx, lease, rule.to);
  return rule.wait;
}

function lowerTarget(tx: Tx, lease: LeaseRow, rule: BreakRule): void {
  const required = lease.r.breakToRequired & rule.to;
  if (required === lease.r.breakToRequired) return;
  lease.r.breakToRequired = required;
  tx.store.touch(lease);
}

/**
 * Nobody can be told. More than R under a protected handle: the break is stored and delivered at resume (semantics.md
 * C6). Otherwise the promise is weaker than the contender: handles that are only durable are closed, and a read cache
 * that nobody uses just ends.
 */
function breakAbsent(tx: Tx, lease: LeaseRow, rule: BreakRule): boolean {
  if (![...lease.handles].some((handle) => handle.isProtected)) {
    const handles = [...lease.handles].sort(byHandleId);
    for (const handle of handles)
      closeHandle(tx, handle, "broken", "its lease was broken while its client was away");
    return false;
  }
  if (lease.r.state === 1) {
    setState(tx, lease, 0);
    return false;
  }
  if (mutant.storedBreakLost) return rule.wait;
  storeBreak(tx, lease, lease.r.state & rule.to);
  return rule.wait;
}

/**
 * Something in a directory changed: read caches of the directory end, except the one that the actor named as its parent
 * (semantics.md F3, directory leases). Nobody waits for them.
 */
function breakDirectory(tx: Tx, share: string, path: string, client: string, parentKey: string): void {
  if (mutant.directoryLeaseKept) return;
  for (const lease of tx.store.leases.paths.at(share, parentOf(path)).toSorted(byLeaseId)) {
    if (!lease.r.directory) continue;
    if (!mutant.parentKeyIgnored && parentKey !== "" && lease.client === client && lease.key === parentKey)
      continue;
    breakOne(tx, lease, "directory-change");
  }
}

/** The same for the files that a command has changed: a cached listing shows their size, attributes and times. */
export function breakDirectories(tx: Tx): void {
  const { changed } = tx;
  if (changed.length === 0) return;
  tx.changed = [];
  for (const { share, path, client, parentKey } of changed)
    breakDirectory(tx, share, path, client, parentKey);
}

// Indexes may hold rows in another order after a load.
function byLeaseId(a: LeaseRow, b: LeaseRow): number {
  return a.id < b.id ? -1 : 1;
}
