import { ErrorCode } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";
import { bytesOf, idOf } from "../ids.js";
import { accessGroups } from "../rules/access.js";
import { type GrantSituation, grantLease } from "../rules/lease-grant.js";
import { toLeaseState } from "../rules/lease-state.js";
import type { HandleRow } from "../tables/handles.js";
import { LeaseRow } from "../tables/leases.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { comingState, setState } from "./lease-rows.js";

const ALL_RIGHTS = 7;
const READ_ONLY_CACHE = 1;

/** One key is for one file (semantics.md F3): the same key for another one is a bug of the client. */
export function leaseKeyProblem(
  tx: Tx,
  session: SessionRow,
  command: v1.IOpenHandle,
): v1.ICommandResult | null {
  const lease = tx.store.leases.get(session.client, idOf(command.lease?.key));
  if (lease === undefined) return null;
  const fileId = command.observed?.exists ? (command.observed.fileId ?? "") : "";
  if (lease.r.share === command.share && lease.r.fileId === fileId) return null;
  if (isDeletePending(lease)) return null;
  return fail(ErrorCode.INVALID_PARAMETER, `the lease key is in use for ${lease.r.share}:${lease.r.path}`, {
    next: "use a lease key of its own for each file",
  });
}

function isDeletePending(lease: LeaseRow): boolean {
  for (const handle of lease.handles) if (handle.deleteSet) return true;
  return false;
}

/** The most that a lease on this share may get: a scale-out share has no owner that could be asked to give back more. */
export function leaseMask(share: v1.IShareRecord | undefined): number {
  const mask = share?.leaseMask || ALL_RIGHTS;
  return share?.scaleOut ? mask & READ_ONLY_CACHE : mask;
}

/**
 * Gives a handle that has just been opened its lease, new or shared with other handles of the same key. Without a key, or
 * when the key still names a file that is being deleted, it has none.
 */
export function grantTo(tx: Tx, handle: HandleRow, request: v1.ILeaseRequest | null): LeaseRow | null {
  const key = idOf(request?.key);
  if (request === null || key === "") return null;
  const { store } = tx;
  const known = store.leases.get(handle.client, key);
  if (known !== undefined && (known.r.share !== handle.share || known.r.fileId !== handle.fileId))
    return null;
  const granted = grantLease(situation(tx, handle, request, known));
  handle.leaseKey = key;
  handle.leaseVersion = request.version || 2;
  if (known !== undefined) {
    known.handles.add(handle);
    setState(tx, known, granted);
    return known;
  }
  const lease = new LeaseRow({
    clientGuid: bytesOf(handle.client),
    key: bytesOf(key),
    parentKey: request.parentKey ?? null,
    share: handle.share,
    fileId: handle.fileId,
    path: handle.path,
    state: granted,
    // Counted from the client's, so that it can order this grant against what it knew; nothing granted counts nothing.
    epoch: ((request.epoch ?? 0) + (granted === 0 ? 0 : 1)) & 0xffff,
    version: handle.leaseVersion,
    directory: handle.directory,
  });
  lease.handles.add(handle);
  store.leases.add(lease);
  store.touch(lease);
  return lease;
}

function situation(
  tx: Tx,
  handle: HandleRow,
  request: v1.ILeaseRequest,
  known: LeaseRow | undefined,
): GrantSituation {
  const { store } = tx;
  let otherOpens = false;
  let otherLocks = false;
  let deleteMarked = false;
  for (const other of store.handles.ofFile(handle.share, handle.fileId)) {
    if (other.deleteSet) deleteMarked = true;
    if (other === handle || !other.holds) continue;
    if (known !== undefined && store.leases.of(other) === known) continue;
    if (accessGroups(other.grantedAccess) !== 0) otherOpens = true;
    if (other.locks.length > 0) otherLocks = true;
  }
  return {
    asked: request.state ?? 0,
    held: known === undefined ? null : toLeaseState(known.r.state),
    breaking: known?.r.breaking ?? false,
    directory: handle.directory,
    mask: leaseMask(store.share(handle.share)),
    otherOpens,
    otherLeases: store.leases
      .ofFile(handle.share, handle.fileId)
      .filter((lease) => lease !== known)
      .map((lease) => toLeaseState(comingState(lease))),
    otherLocks,
    deleteMarked,
  };
}
