import { toBigInt, type v1 } from "../../wire/index.js";
import {
  type Entry,
  type Finish,
  grantsOf,
  groups,
  key,
  OPEN,
  PERSISTENT,
  type Rule,
  shared,
  violated,
} from "./rule.js";

/** OVERWRITE, OVERWRITE_IF, SUPERSEDE. */
const REPLACING: ReadonlySet<number> = new Set([1, 5, 6]);
/** DONE. */
const DONE = 1;

/**
 * Who may be let at a file beside whom: share modes, the protection of holders that are away, and leases of others
 * (semantics.md F1, C5, F3).
 */
export class OpenRule implements Rule {
  begin(entry: Entry): Finish {
    const { instance, path, share } = instanceOf(entry);
    const olds = instance === "" ? [] : sameInstance(entry, instance, share, path);
    return (applied) => {
      const grants = grantsOf(entry, applied);
      for (const [at, { handle, status, fileId }] of grants.entries()) {
        // Opens that waited for one thing are tried in the order in which they were parked; who waits may be away by then.
        const later = new Set(grants.slice(at + 1).map((grant) => key(grant.handle.id)));
        const there = [...entry.view.handlesOfFile(handle.share ?? "", fileId)];
        // One without protection whose client is away is closed again by the next that conflicts with it.
        const mine = there.find(({ id }) => key(id) === key(handle.id));
        if (later.size > 0 && mine?.state !== handle.state) continue;
        for (const other of there)
          if (other.state === OPEN && other.fileId === fileId && key(other.id) !== key(handle.id))
            beside(entry, handle, other, later.has(key(other.id)));
        leases(entry, handle, fileId, status === DONE);
      }
      if (
        olds.length > 0 &&
        !applied.result.error &&
        !applied.result.repeated &&
        !applied.result.open?.replayed
      )
        for (const old of olds) newer(entry, old);
    };
  }
}

function instanceOf(entry: Entry): { instance: string; share: string; path: string } {
  const open = entry.command.openHandle;
  return { instance: key(open?.appInstance?.id), share: open?.share ?? "", path: open?.path ?? "" };
}

function sameInstance(entry: Entry, instance: string, share: string, path: string): v1.IHandleRecord[] {
  const session = entry.view.session(entry.command.openHandle?.fence?.sessionId ?? 0);
  return [...entry.view.handlesOfFile(share, path)].filter(
    (other) =>
      other.state === OPEN &&
      other.path === path &&
      key(other.appInstance?.id) === instance &&
      key(other.clientGuid) !== key(session?.clientGuid),
  );
}

/** An application's file goes to a newer instance only (semantics.md D3). */
function newer(entry: Entry, old: v1.IHandleRecord): void {
  const had = old.appInstance;
  if (!had?.hasVersion) return;
  const asked = entry.command.openHandle?.appInstance;
  const high = toBigInt(asked?.versionHigh ?? 0) - toBigInt(had.versionHigh ?? 0);
  const low = toBigInt(asked?.versionLow ?? 0) - toBigInt(had.versionLow ?? 0);
  if (asked?.hasVersion && (high > 0n || (high === 0n && low > 0n))) return;
  violated("application takeover", entry, `an instance that is not newer took ${old.share}:${old.path} over`);
}

function beside(entry: Entry, mine: v1.IHandleRecord, other: v1.IHandleRecord, isOtherLater: boolean): void {
  const [wanted, held] = [groups(mine.grantedAccess ?? 0), groups(other.grantedAccess ?? 0)];
  if (wanted === 0) return;
  const where = `${mine.share}:${mine.path}`;
  const conflict =
    held !== 0 && ((wanted & ~shared(other.shareMode)) | (held & ~shared(mine.shareMode))) !== 0;
  if (conflict) violated("share modes", entry, `${where}: two opens that exclude each other`);
  if (isOtherLater || other.connected || other.kind !== PERSISTENT) return;
  const lease = other.leaseKey?.length ? leaseOf(entry, other) : undefined;
  const state = lease?.state ?? 0;
  const needs = (other.locks?.length ?? 0) > 0 ? 7 : 2;
  if ((state & needs) !== needs)
    violated(
      "disconnected holder protected",
      entry,
      `${where} was opened while the client of handle ${key(other.id).slice(0, 8)} is away (lease ${state}, ` +
        `${other.locks?.length ?? 0} locks)`,
    );
}

function leaseOf(entry: Entry, handle: v1.IHandleRecord): v1.ILeaseRecord | undefined {
  return entry.view.lease(handle.clientGuid as Uint8Array, handle.leaseKey as Uint8Array);
}

/** Nobody reads or writes beside a cache of writes; nothing is replaced beside any cache. */
function leases(entry: Entry, mine: v1.IHandleRecord, fileId: string, isOpen: boolean): void {
  if (groups(mine.grantedAccess ?? 0) === 0) return;
  // An effect under way has the lease request of its create still to come.
  const own = `${key(mine.clientGuid)}/${key(isOpen ? mine.leaseKey : (mine.leaseRequest?.key ?? mine.leaseKey))}`;
  for (const lease of entry.view.leases()) {
    if (lease.share !== mine.share || lease.fileId !== fileId || lease.directory) continue;
    if (`${key(lease.clientGuid)}/${key(lease.key)}` === own) continue;
    const state = lease.state ?? 0;
    const where = `${mine.share}:${mine.path}`;
    if ((state & 4) !== 0) violated("lease break waits", entry, `${where} was opened beside lease ${state}`);
    const ends = lease.breaking && (lease.breakToRequired ?? 0) === 0;
    if (!isOpen && REPLACING.has(mine.disposition ?? 0) && state !== 0 && !ends)
      violated("lease break", entry, `${where} is replaced beside lease ${state}, which is not broken`);
  }
}
