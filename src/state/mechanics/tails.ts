import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { mutant } from "../mutants.js";
import { Access } from "../rules/access.js";
import { overwrites } from "../rules/disposition.js";
import { tailFrom } from "../rules/tail.js";
import type { HandleRow } from "../tables/handles.js";
import type { EffectRow, PendingRow } from "../tables/records.js";
import type { Tx } from "../tx.js";
import { effectText } from "./effect-conflicts.js";
import { upNodes } from "./file-locks.js";
import { noteNameChange, writeMark } from "./names.js";

/** Why the tail of a file is closed, and from where on. */
export interface ClosedTail {
  readonly from: number;
  /** For people. */
  readonly text: string;
}

/**
 * The part of a file that is closed to plain writes: an append, a cut or an overwrite of it has no outcome yet, or is about
 * to be announced. Whoever resolves that effect may cut the file there (semantics.md C4).
 */
export function closedTail(tx: Tx, share: string, fileId: string): ClosedTail | null {
  const { effects, pending } = tx.store;
  if (fileId === "" || mutant.tailOpen) return null;
  let found: ClosedTail | null = null;
  if (effects.byId.size > 0)
    for (const effect of [...effects.ofFile(share, fileId)].sort(byId))
      found = lower(found, tailFrom(effect.r), () => effectText(effect));
  if (pending.byId.size > 0)
    for (const waiting of [...pending.ofFile(share, fileId)].sort(byId))
      if (waiting.r.prepared) found = lower(found, preparedTail(waiting), () => preparingText(waiting));
  return found;
}

function lower(found: ClosedTail | null, from: number | null, text: () => string): ClosedTail | null {
  if (from === null || (found !== null && found.from <= from)) return found;
  return { from, text: text() };
}

// Indexes may hold rows in another order after a load.
function byId(a: EffectRow | PendingRow, b: EffectRow | PendingRow): number {
  return a.r.id - b.r.id;
}

/** Where a parked call closes its file that other nodes were told of already; null: it is a lock, or closes nothing. */
function preparedTail(waiting: PendingRow): number | null {
  const command = v1.Command.decode(waiting.r.command);
  if (command.beginEffect) return tailFrom(command.beginEffect.effect ?? {});
  if (command.openHandle && overwrites(command.openHandle.disposition ?? 0)) return 0;
  return null;
}

function preparingText(waiting: PendingRow): string {
  return `call ${waiting.r.id} on ${waiting.r.share}:${waiting.r.path}`;
}

/** Another call that is closing the tail just now goes first: nodes keep one closed tail a file. Null: there is none. */
export function tailBefore(
  tx: Tx,
  share: string,
  fileId: string,
  parked: PendingRow | null,
): PendingRow | null {
  if (tx.store.pending.byId.size === 0 || parked?.r.prepared) return null;
  for (const other of [...tx.store.pending.ofFile(share, fileId)].sort(byId))
    if (other !== parked && other.r.prepared && preparedTail(other) !== null) return other;
  return null;
}

/** For people. */
export function tailBeforeText(before: PendingRow): string {
  return preparingText(before);
}

/**
 * Nodes that have to close the tail before the effect may be announced: all that might write to the file for a handle, but
 * not the effect's own, which has closed it before it asked. For a handle whose client is away nothing runs, and it learns
 * of the closed tail when it is resumed; a node that is down writes nothing.
 */
export function nodesToClose(tx: Tx, share: string, fileId: string, here: string): v1.INodeIncarnation[] {
  if (mutant.tailOpen) return [];
  const names = new Set<string>();
  for (const other of tx.store.handles.ofFile(share, fileId))
    if (other.holds && other.isConnected && isWriter(other) && other.ownerNode !== here)
      names.add(other.ownerNode);
  return upNodes(tx, [...names].sort());
}

function isWriter(handle: HandleRow): boolean {
  return (handle.grantedAccess & Access.writeData) !== 0;
}

/** Tells those nodes; the parked call is tried again when all have answered. */
export function closeTail(tx: Tx, waiting: PendingRow, nodes: v1.INodeIncarnation[], from: number): void {
  const r = waiting.r;
  r.prepared = true;
  r.preparing = nodes;
  tx.store.touch(waiting);
  const text = `the tail of ${r.share}:${r.path} from ${from} is closed for call ${r.id}`;
  for (const { node } of nodes)
    tx.emit(EventKind.lockPrepare, node ?? "", text, {
      lockPrepare: { pendingId: r.id, share: r.share, fileId: r.fileId, tail: true, tailFrom: from },
    });
}

/**
 * The call has to wait for something else again, a lease break for instance: who holds the lease may have to write before
 * it can answer. The nodes are asked anew when that is over.
 */
export function reopenTail(tx: Tx, waiting: PendingRow | null): void {
  if (!waiting?.r.prepared) return;
  waiting.r.prepared = false;
  waiting.r.preparing = [];
  tx.store.touch(waiting);
  tx.wake(waiting.r.share, waiting.r.path, waiting.r.fileId);
  tx.woken.delete(waiting);
}

/** A node has closed the tail: an append goes behind all that the node has written. */
export function noteFileSize(tx: Tx, waiting: PendingRow, fileSize: number): void {
  if (!waiting.r.prepared || fileSize === 0) return;
  const command = v1.Command.decode(waiting.r.command);
  const effect = command.beginEffect?.effect;
  if (effect?.kind !== v1.EffectKind.EFFECT_APPEND || (effect.offset ?? 0) >= fileSize) return;
  effect.offset = fileSize;
  effect.sizeBefore = fileSize;
  waiting.r.command = v1.Command.encode(command).finish();
  tx.store.touch(waiting);
}

/**
 * True when the file may have grown after the appender looked at its end, by somebody who is not asked any more: another
 * writer's session has moved since, and what its former owner wrote is nobody's to tell. A writer that was closed has left
 * a mark (`noteWriterGone`).
 */
export function writerMovedSince(
  tx: Tx,
  share: string,
  fileId: string,
  own: HandleRow | null,
  revision: number,
): boolean {
  if (revision === 0) return false;
  for (const other of tx.store.handles.ofFile(share, fileId))
    if (other !== own && other.holds && isWriter(other) && other.session.r.changedRevision > revision)
      if (other.session !== own?.session) return true;
  return false;
}

/** A writer leaves its node while another node serves the file too: an appender there has to look at the end again. */
export function noteWriterGone(tx: Tx, handle: HandleRow): void {
  if (!handle.isOpen || handle.directory || handle.fileId === "" || !isWriter(handle)) return;
  const here = handle.ownerNode;
  const appender = tx.store.handles
    .ofFile(handle.share, handle.fileId)
    .some((other) => other.holds && other.ownerNode !== here && mayAppend(other));
  if (appender) noteEndMoved(tx, handle);
}

/** True for whoever may move the end of the file, by a write or by an append. */
export function mayAppend(handle: HandleRow): boolean {
  return (handle.grantedAccess & (Access.writeData | Access.appendData)) !== 0;
}

/** Whoever looked at the end of the file before now has to look again. */
export function noteEndMoved(tx: Tx, file: { readonly share: string; readonly fileId: string }): void {
  noteNameChange(tx, file.share, writeMark(file.fileId), false);
}
