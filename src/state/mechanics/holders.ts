import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { shortHex } from "../ids.js";
import { mutant } from "../mutants.js";
import { accessGroups } from "../rules/access.js";
import { contention, type Contender } from "../rules/contention.js";
import { type OpenMode, sharesConflict } from "../rules/share-mode.js";
import { LeaseBit, leaseText, toLeaseState } from "../rules/lease-state.js";
import type { HandleRow } from "../tables/handles.js";
import type { LeaseRow } from "../tables/leases.js";
import { fail, type Tx } from "../tx.js";
import { type Actor, breakOne, isOwn } from "./breaks.js";
import { closeHandle } from "./closing.js";

/** A step of a decision: a refusal, what has to be waited for, or null: go on. */
export type Step = { readonly refuse: v1.ICommandResult } | { readonly waitFor: string } | null;

/** Somebody who wants at a file. */
export interface Aspirant extends Actor, OpenMode {
  readonly overwrites: boolean;
}

/** The handles that others on a file have to reckon with, in a fixed order. */
export function holdersOf(
  tx: Tx,
  share: string,
  path: string,
  fileId: string,
  except: HandleRow | null,
): HandleRow[] {
  return tx.store.handles
    .onFile(share, path, fileId)
    .filter((handle) => handle !== except && handle.holds)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * What an aspirant gets while protected holders are away (semantics.md C5): without H on their lease the file is closed
 * to everybody, at once, even where share modes would allow it.
 */
export function absentHolders(tx: Tx, holders: readonly HandleRow[], aspirant: Aspirant): Step {
  if (mutant.disconnectedUnprotected) return null;
  for (const holder of holders) {
    if (holder.isConnected || !holder.isProtected || !holder.isOpen) continue;
    const lease = tx.store.leases.of(holder);
    const held = toLeaseState(lease?.r.state ?? 0);
    if (contention(held, holder.locks.length > 0, contender(aspirant, holder)) !== "unavailable") continue;
    return {
      refuse: fail(
        ErrorCode.FILE_NOT_AVAILABLE,
        `${holder.share}:${holder.path} is held by a handle whose client is away (lease ${leaseText(held)})`,
        { retryAfterMs: 500 },
      ),
    };
  }
  return null;
}

function contender(aspirant: Aspirant, holder: HandleRow): Contender {
  if (accessGroups(aspirant.access) === 0) return "attribute";
  if (sharesConflict(aspirant, modeOf(holder))) return "share-conflict";
  return aspirant.overwrites ? "overwrite" : "compatible";
}

/**
 * Share modes (semantics.md F1). A holder with H is asked to give its handle up first; one that is only durable and away
 * is closed; any other conflict is a SHARING_VIOLATION at once.
 */
export function shareModes(tx: Tx, holders: readonly HandleRow[], aspirant: Aspirant): Step {
  const conflicting = holders.filter((holder) => sharesConflict(aspirant, modeOf(holder)));
  if (conflicting.length === 0) return null;
  const leases = new Set<LeaseRow>();
  for (const holder of conflicting) {
    const lease = tx.store.leases.of(holder);
    const canBreak =
      lease !== undefined && (lease.r.state & LeaseBit.handle) !== 0 && !isOwn(lease, aspirant);
    if (canBreak) leases.add(lease);
    else if (holder.isConnected || holder.isProtected) return { refuse: violation(holder) };
  }
  for (const holder of conflicting) {
    if (
      tx.store.leases.of(holder) === undefined &&
      holder.isOpen &&
      !holder.isConnected &&
      !holder.isProtected
    )
      closeHandle(tx, holder, "broken", "another open conflicted while its client was away");
  }
  const waiting = [...leases].filter(
    (lease) => breakOne(tx, lease, "share-conflict") && !mutant.breakWithoutWait,
  );
  if (waiting.length > 0) return { waitFor: waitingText(waiting) };
  const still = conflicting.find((holder) => holder.holds);
  return still === undefined ? null : { refuse: violation(still) };
}

/** Access and share mode of a handle. */
function modeOf(handle: HandleRow): OpenMode {
  return { access: handle.grantedAccess, share: handle.shareBits };
}

/** For people. */
export function waitingText(leases: readonly LeaseRow[]): string {
  return leases
    .map((lease) => `lease ${shortHex(lease.key)}${lease.r.stored ? ", whose holder is away" : ""}`)
    .join(", ");
}

function violation(holder: HandleRow): v1.ICommandResult {
  return fail(
    ErrorCode.SHARING_VIOLATION,
    `${holder.share}:${holder.path} is open in a way that excludes this (handle ${shortHex(holder.id)})`,
  );
}
