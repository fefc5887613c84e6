import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { bytesOf, idOf } from "../ids.js";
import { mutant } from "../mutants.js";
import type { Store } from "../store.js";
import type { HandleRow } from "../tables/handles.js";
import type { PendingRow } from "../tables/records.js";
import { byId } from "../tables/pending.js";
import type { Tx } from "../tx.js";
import { byHandleId } from "./order.js";

/** Other nodes that serve open handles of the file, each once, in the order of their names. */
export function otherNodesOn(tx: Tx, handle: HandleRow): string[] {
  const here = handle.ownerNode;
  let found: Set<string> | null = null;
  for (const other of tx.store.handles.ofFile(handle.share, handle.fileId)) {
    if (other.holds && other.ownerNode !== here) (found ??= new Set()).add(other.ownerNode);
  }
  return found === null ? [] : [...found].sort();
}

/**
 * Other nodes that have to enforce a lock before it is granted: byte-range locks are mandatory, and a node that does not
 * know of one would let I/O through. A node that is down runs nothing.
 */
export function nodesToPrepare(tx: Tx, handle: HandleRow): v1.INodeIncarnation[] {
  if (mutant.lockWithoutPrepare) return [];
  return upNodes(tx, otherNodesOn(tx, handle));
}

/** Those of the nodes that are up, as they are now: one that is down runs nothing and is not asked. */
export function upNodes(tx: Tx, names: readonly string[]): v1.INodeIncarnation[] {
  const nodes: v1.INodeIncarnation[] = [];
  for (const name of names) {
    const node = tx.store.nodes.get(name);
    if (node?.up) nodes.push({ node: name, incarnation: node.r.incarnation });
  }
  return nodes;
}

/** All locks on the file but those of `except`. */
export function locksOn(tx: Tx, share: string, fileId: string, except: HandleRow | null): v1.IFileLock[] {
  const locks: v1.IFileLock[] = [];
  const handles = tx.store.handles.ofFile(share, fileId);
  for (const handle of handles.length < 2 ? handles : [...handles].sort(byHandleId)) {
    if (handle === except || handle.locks.length === 0) continue;
    const handleId = bytesOf(handle.id);
    for (const lock of handle.locks)
      locks.push({
        handleId,
        offset: lock.offset as number,
        length: lock.length as number,
        exclusive: lock.exclusive,
      });
  }
  return locks;
}

/** Locks that were announced to nodes and are not granted yet. */
export function preparingOn(
  store: Store,
  share: string,
  fileId: string,
  except: HandleRow | null,
): v1.IFileLock[] {
  const locks: v1.IFileLock[] = [];
  for (const pending of store.pending.ofFile(share, fileId).toSorted(byId)) {
    if (!pending.r.prepared || idOf(pending.r.handleId) === (except?.id ?? "")) continue;
    locks.push(...announcedLocks(pending));
  }
  return locks;
}

/** The ranges of a parked lock. */
export function announcedLocks(pending: PendingRow): v1.IFileLock[] {
  const command = v1.Command.decode(pending.r.command).lock;
  return (command?.elements ?? []).map((element) => ({
    handleId: pending.r.handleId,
    offset: element.offset ?? 0,
    length: element.length ?? 0,
    exclusive: element.exclusive ?? false,
  }));
}

/** Tells every other node that has the file open which locks there are now. */
export function announceLocks(tx: Tx, handle: HandleRow): void {
  const nodes = otherNodesOn(tx, handle);
  if (nodes.length === 0) return;
  const fileLocks: v1.IFileLocks = {
    share: handle.share,
    fileId: handle.fileId,
    locks: locksOn(tx, handle.share, handle.fileId, null),
    preparing: preparingOn(tx.store, handle.share, handle.fileId, null),
  };
  for (const node of nodes)
    tx.emit(
      EventKind.fileLocks,
      node,
      `${handle.share}:${handle.path}: ${fileLocks.locks?.length ?? 0} locks`,
      {
        fileLocks,
      },
    );
}
