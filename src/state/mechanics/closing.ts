import { ErrorCode } from "../../wire/errors.js";
import { limits } from "../../wire/limits.js";
import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { bytesOf, type Id, idOf, shortHex } from "../ids.js";
import { mutant } from "../mutants.js";
import { Access } from "../rules/access.js";
import type { HandleRow } from "../tables/handles.js";
import type { EffectRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { leaveLease } from "./lease-rows.js";
import { noteChanged, parentKeyOf } from "./changes.js";
import { byHandleId } from "./order.js";
import { announceLocks, otherNodesOn } from "./file-locks.js";
import { addEffect, dropEffect } from "./effect-rows.js";
import { placeNumber, sessionCandidates } from "./placement.js";
import { finishPending } from "./parking.js";
import { noteWriterGone } from "./tails.js";

/**
 * Why a handle is closed. "client": its client asked. "disconnect": it does not outlive its connection. "lost": it does
 * not outlive its server. "expired": its client did not come back in time. "forced": operator, application takeover.
 * "broken": a conflict that its kind does not protect it from.
 */
export type CloseReason = "client" | "disconnect" | "lost" | "expired" | "forced" | "broken";

/** Whether delete-on-close fires: never because a server died (semantics.md C3). */
const DELETES: Record<CloseReason, boolean> = {
  client: true,
  disconnect: true,
  lost: false,
  expired: true,
  forced: true,
  broken: true,
};

/**
 * Closes a handle: its locks, share mode and lease are free at once, whoever waits for them is tried again, and it stays
 * as a tombstone. Where its file has to be deleted an effect is announced first and the handle is CLOSING until that is
 * done; the answer is the effect. What it may have written shows in listings from now on at the latest: unless somebody
 * knows that it wrote nothing, cached ones end.
 */
export function closeHandle(
  tx: Tx,
  handle: HandleRow,
  reason: CloseReason,
  text: string,
  unmodified = false,
): EffectRow | null {
  if (!handle.isInPlace) return null;
  if (handle.pendingId !== 0) {
    const pending = tx.store.pending.byId.get(handle.pendingId);
    if (pending !== undefined)
      finishPending(tx, pending, fail(ErrorCode.CANCELLED, `the open was cancelled: ${text}`));
    return null;
  }
  const wasOpen = handle.isOpen;
  const parentKey = parentKeyOf(tx, handle);
  if (wasOpen && !unmodified && mayHaveWritten(handle)) noteChanged(tx, handle);
  letGo(tx, handle);
  const effect = wasOpen && deletes(reason) ? deleteEffect(tx, handle, reason, parentKey) : null;
  entomb(tx, handle, effect, reason === "client" ? "" : text);
  report(tx, handle, reason, text);
  return effect;
}

// Whoever writes has seen the answer of the create, so a handle that is eligible for replay was not written through.
function mayHaveWritten(handle: HandleRow): boolean {
  const writes = (handle.grantedAccess & (Access.writeData | Access.appendData)) !== 0;
  return writes && !handle.directory && !handle.replayEligible;
}

function deletes(reason: CloseReason): boolean {
  if (reason === "lost") return mutant.deleteOnCrash;
  if (reason === "expired" && mutant.deleteMarkLostAtExpiry) return false;
  return DELETES[reason];
}

/** Frees what the handle holds. */
function letGo(tx: Tx, handle: HandleRow): void {
  const { store } = tx;
  noteWriterGone(tx, handle);
  const hadLocks = handle.locks.length > 0;
  const nodes = hadLocks ? otherNodesOn(tx, handle) : [];
  store.handles.lockCount -= handle.locks.length;
  handle.locks = [];
  handle.buckets = [];
  if (nodes.length > 0) announceLocks(tx, handle);
  cancelLocksOf(tx, handle);
  leaveLease(tx, handle);
  store.handles.displace(handle);
  tx.wakeHandle(handle);
}

function cancelLocksOf(tx: Tx, handle: HandleRow): void {
  if (tx.store.pending.byId.size === 0) return;
  for (const pending of tx.store.pending.ofSession(handle.session.r.id)) {
    if (idOf(pending.r.handleId) === handle.id)
      finishPending(tx, pending, fail(ErrorCode.CANCELLED, `handle ${shortHex(handle.id)} was closed`));
  }
}

/**
 * A marked file goes with its last handle. While others have it open the mark stays on the file, on the handle with the
 * lowest id: the expiry of one of two marked handles must not lose the mark.
 */
function deleteEffect(tx: Tx, handle: HandleRow, reason: CloseReason, parentKey: Id): EffectRow | null {
  if (!handle.deleteInitial && !handle.deleteSet) return null;
  const others = tx.store.handles.paths
    .at(handle.share, handle.path)
    .filter((other) => other !== handle && other.holds && other.fileId === handle.fileId);
  const heir = [...others].sort(byHandleId)[0];
  if (heir !== undefined) {
    heir.deleteSet = true;
    tx.touchHandle(heir);
    return null;
  }
  const byClient = reason === "client";
  const owner = byClient ? handle.ownerNode : livingOwner(tx, handle.session, handle.ownerNode);
  const effect = addEffect(tx, {
    kind: v1.EffectKind.EFFECT_DELETE,
    sessionId: handle.session.r.id,
    handleId: bytesOf(handle.id),
    owner,
    ownerIncarnation: tx.store.nodes.get(owner)?.r.incarnation ?? 0,
    share: handle.share,
    path: handle.path,
    fileId: handle.fileId,
    directory: handle.directory,
    expiry: !byClient,
    parentKey: bytesOf(parentKey),
  });
  if (!byClient) tellOwner(tx, effect);
  return effect;
}

/** The owner if it is up, otherwise somebody who is. */
function livingOwner(tx: Tx, session: SessionRow, owner: string): string {
  if (tx.store.nodes.get(owner)?.up) return owner;
  return placeNumber(sessionCandidates(tx, owner), session.r.id)?.r.name ?? owner;
}

/** Somebody has to perform this, and nobody is waiting for the answer of a call. */
export function tellOwner(tx: Tx, effect: EffectRow): void {
  const r = effect.r;
  tx.emit(
    EventKind.effectNeeded,
    r.owner,
    `effect ${r.id}: ${v1.EffectKind[r.kind] ?? r.kind} ${r.share}:${r.path}`,
    { sessionId: r.sessionId, handleId: r.handleId, effect: { ...r } },
  );
}

function entomb(tx: Tx, handle: HandleRow, effect: EffectRow | null, text: string): void {
  const extras = handle.more();
  extras.closedMs = tx.nowMs;
  extras.closedNumber = tx.store.nextHandleNumber();
  extras.closeReason = text;
  extras.blob = NOTHING;
  handle.deleteInitial = false;
  handle.deleteSet = false;
  handle.replayEligible = false;
  handle.state = effect === null ? v1.HandleState.HANDLE_CLOSED : v1.HandleState.HANDLE_CLOSING;
  handle.effectId = effect?.r.id ?? 0;
  tx.touchHandle(handle);
  if (effect === null) buryTombstone(tx, handle);
}

const NOTHING = new Uint8Array(0);

/** Files a closed handle among its session's tombstones; the oldest go when there are too many. */
export function buryTombstone(tx: Tx, handle: HandleRow): void {
  const { store } = tx;
  if (mutant.tombstoneForgotten) {
    removeHandle(tx, handle);
    return;
  }
  store.handles.bury(handle);
  const { session } = handle;
  const { tombstones } = session;
  for (const oldest of tombstones) {
    if (tombstones.size <= limits.tombstonesPerSessionMax) break;
    if (!session.r.tombstonesDropped) {
      session.r.tombstonesDropped = true;
      tx.touchSession(session);
    }
    store.handles.remove(oldest);
    store.drop(oldest);
  }
}

/** Removes a handle that is no longer in place, without a trace. */
function removeHandle(tx: Tx, handle: HandleRow): void {
  tx.store.handles.remove(handle);
  tx.store.drop(handle);
}

function report(tx: Tx, handle: HandleRow, reason: CloseReason, text: string): void {
  const where = `${handle.share}:${handle.path}`;
  if (reason === "client") {
    tx.emitHandle(EventKind.handleClosed, "", handle, `${where} closed`);
  } else if (reason === "expired") {
    tx.emitHandle(EventKind.handleExpired, "", handle, `${where}: ${text}`);
  } else {
    tx.emitHandle(EventKind.handleForcedClosed, handle.ownerNode, handle, `${where}: ${text}`);
  }
}

/** Closes all handles of a session and forgets it with all that belongs to it, tombstones and replies included. */
export function endSession(tx: Tx, session: SessionRow, reason: CloseReason, text: string): void {
  const { store } = tx;
  for (const pending of store.pending.ofSession(session.r.id))
    finishPending(tx, pending, fail(ErrorCode.CANCELLED, text));
  for (const handle of [...session.handles].sort(byHandleId)) closeHandle(tx, handle, reason, text);
  for (const handle of [...session.handles]) {
    if (handle.isInPlace) letGo(tx, handle);
    removeHandle(tx, handle);
  }
  for (const effect of store.effects.ofSession(session.r.id)) orphanEffect(tx, effect);
  for (const slot of session.slots?.values() ?? []) store.drop(slot);
  store.sessions.remove(session);
  store.drop(session);
}

/** A create whose session is gone is finished or undone by its owner like any other; nobody gets the handle. */
function orphanEffect(tx: Tx, effect: EffectRow): void {
  if (effect.r.kind === v1.EffectKind.EFFECT_FOREIGN) {
    dropEffect(tx, effect);
    return;
  }
  effect.r.expiry = true;
  tx.store.touch(effect);
}
