import type { v1 } from "../../wire/index.js";
import { type Entry, type Finish, key, OPEN, type Rule, violated } from "./rule.js";

/** A change that a listing of the directory above `path` shows. */
interface Change {
  readonly share: string;
  readonly path: string;
  readonly client: string;
  /** Key of the actor's own lease of that directory; empty: it named none. */
  readonly parentKey: string;
}

/** Effects after which a listing shows something else. RENAME takes its old name away too. */
const SHOWN: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
/** CREATE, OVERWRITE, SUPERSEDE. */
const CREATES: ReadonlySet<number> = new Set([1, 2, 3]);
const RENAME = 5;
/** HANDLE_PENDING. */
const PENDING = 1;
/** Rights to write data or to append. */
const WRITES = 0x6;

/**
 * Who caches a listing hears of every change in the directory, but for the one that knows of it because it made it; and a
 * directory is never cached for writing (semantics.md F3, H 27).
 */
export class DirectoryRule implements Rule {
  begin(entry: Entry): Finish | null {
    const changes = changesOf(entry);
    const before = changes.length > 0 ? directoryLeases(entry) : [];
    if (before.length === 0 && !entry.command.openHandle && !entry.command.finishEffect) return null;
    return ({ result, events }) => {
      if (result.open?.lease?.directory && ((result.open.lease.state ?? 0) & 4) !== 0)
        violated("directory lease", entry, `${result.open.lease.path} is leased for writing`);
      if (result.error || result.repeated) return;
      // 3 is PARKED: a write that waits has changed nothing.
      if (result.effect?.status === 3) return;
      const others = events.some(({ kind }) => kind === "pending-done");
      for (const change of changes) for (const lease of before) look(entry, change, lease, others);
    };
  }
}

function directoryLeases({ view }: Entry): v1.ILeaseRecord[] {
  const found: v1.ILeaseRecord[] = [];
  for (const lease of view.leases()) if (lease.directory) found.push({ ...lease });
  return found;
}

function look(entry: Entry, change: Change, before: v1.ILeaseRecord, others: boolean): void {
  const above = change.path.includes("/") ? change.path.slice(0, change.path.lastIndexOf("/")) : "";
  if (before.share !== change.share || before.path !== above || (before.state ?? 0) === 0) return;
  const now = entry.view.lease(before.clientGuid as Uint8Array, before.key as Uint8Array);
  const own =
    change.parentKey !== "" &&
    key(before.key) === change.parentKey &&
    key(before.clientGuid) === change.client;
  const ends = !now?.state || (now.breaking && !now.breakToRequired);
  const where = `${change.share}:${change.path} was changed`;
  if (!own && !ends)
    violated("directory lease", entry, `${where}, and lease ${now?.state} of ${above} stays`);
  // What another call did that went on in this entry says nothing of this one.
  if (own && ends && !before.breaking && !others)
    violated("directory lease", entry, `${where} by the holder of a lease of ${above}, which ends`);
}

function changesOf(entry: Entry): Change[] {
  const { finishEffect, closeHandle, breakLeases } = entry.command;
  if (finishEffect && !finishEffect.error) return ofEffect(entry, finishEffect.effectId ?? 0);
  if (closeHandle && !closeHandle.unmodified) return ofHandle(entry, closeHandle.handleId, closes);
  if (breakLeases?.operation === "write") return ofHandle(entry, breakLeases.handleId, () => true);
  return [];
}

function ofEffect({ view }: Entry, id: number): Change[] {
  for (const effect of view.effects()) {
    if (effect.id !== id) continue;
    const kind = effect.kind ?? 0;
    if (!SHOWN.has(kind)) return [];
    const handle = handleOf(view, effect, kind);
    const client = key(view.session(effect.sessionId ?? 0)?.clientGuid);
    const change = (path: string): Change => ({
      share: effect.share ?? "",
      path,
      client,
      parentKey: handle ? parentOf(view, handle) : key(effect.parentKey),
    });
    const path = (kind !== RENAME && handle?.path) || (effect.path ?? "");
    if (!effect.targetPath) return [change(path)];
    return kind === RENAME ? [change(path), change(effect.targetPath)] : [change(effect.targetPath)];
  }
  return [];
}

/** The handle of an effect, as long as it says more than the effect: one that is closed has no lease any more. */
function handleOf(view: Entry["view"], effect: v1.IEffectRecord, kind: number): v1.IHandleRecord | undefined {
  const handle = effect.handleId?.length ? view.handle(effect.handleId) : undefined;
  return handle?.state === (CREATES.has(kind) ? PENDING : OPEN) ? handle : undefined;
}

/** What the handle's lease names, or will name once its create is done. */
function parentOf(view: Entry["view"], handle: v1.IHandleRecord): string {
  if (handle.leaseRequest) return key(handle.leaseRequest.parentKey);
  const lease = handle.leaseKey?.length
    ? view.lease(handle.clientGuid as Uint8Array, handle.leaseKey)
    : undefined;
  return key(lease?.parentKey);
}

function ofHandle(
  { view }: Entry,
  id: Uint8Array | null | undefined,
  counts: (handle: v1.IHandleRecord) => boolean,
): Change[] {
  const handle = id?.length ? view.handle(id) : undefined;
  if (!handle || handle.state !== OPEN || !handle.connected || !counts(handle)) return [];
  const { share, path } = handle;
  return [
    {
      share: share ?? "",
      path: path ?? "",
      client: key(handle.clientGuid),
      parentKey: parentOf(view, handle),
    },
  ];
}

/** A handle through which something may have been written: its client has used it. */
function closes(handle: v1.IHandleRecord): boolean {
  return ((handle.grantedAccess ?? 0) & WRITES) !== 0 && !handle.directory && !handle.replayEligible;
}
