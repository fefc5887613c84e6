import { v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { mutant } from "../mutants.js";
import type { HandleRow } from "../tables/handles.js";
import { isBelow } from "../tables/path-index.js";
import type { EffectRow } from "../tables/records.js";
import { failed, type Tx } from "../tx.js";
import { noteChangedBy } from "./changes.js";
import { buryTombstone } from "./closing.js";
import { handleOfEffect } from "./effects.js";
import { dropEffect } from "./effect-rows.js";
import { appendMark, noteNameChange } from "./names.js";
import { completeOpen } from "./opening.js";
import { byHandleId } from "./order.js";
import { settle } from "./reply-cache.js";
import { noteTakenBack } from "./taken-back.js";

type Finisher = (tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect) => v1.ICommandResult;

/** What the outcome of each kind changes in the state. A missing kind does not compile. */
const FINISHERS: Record<v1.EffectKind, Finisher> = {
  [v1.EffectKind.EFFECT_KIND_UNSPECIFIED]: plainDone,
  [v1.EffectKind.EFFECT_CREATE]: finishCreate,
  [v1.EffectKind.EFFECT_OVERWRITE]: finishCreate,
  [v1.EffectKind.EFFECT_SUPERSEDE]: finishCreate,
  [v1.EffectKind.EFFECT_DELETE]: finishDelete,
  [v1.EffectKind.EFFECT_RENAME]: finishRename,
  [v1.EffectKind.EFFECT_LINK]: finishName,
  [v1.EffectKind.EFFECT_TRUNCATE]: finishChange,
  [v1.EffectKind.EFFECT_APPEND]: finishAppend,
  [v1.EffectKind.EFFECT_MKDIR]: finishName,
  [v1.EffectKind.EFFECT_SET_ATTRIBUTES]: finishChange,
  [v1.EffectKind.EFFECT_FENCE]: finishFence,
  [v1.EffectKind.EFFECT_FOREIGN]: plainDone,
};

/** Records the outcome of an effect, and with it the answer of the call that began it, in one entry (semantics.md C4). */
export function finishEffect(tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect): v1.ICommandResult {
  const session = tx.store.sessions.byId.get(effect.r.sessionId);
  const handle = handleOfEffect(tx, effect);
  // The effect must be out of the way before its names are open to others again.
  dropEffect(tx, effect);
  if (outcome.error && outcome.takenBack) noteTakenBack(tx, session, effect);
  const result = outcome.error
    ? undo(tx, effect, handle, outcome.error)
    : FINISHERS[effect.r.kind](tx, effect, outcome);
  settle(tx, session, effect.r.request, result);
  const text = `effect ${effect.r.id} on ${effect.r.share}:${effect.r.path}`;
  tx.emit(
    EventKind.effectFinished,
    "",
    outcome.error ? `${text}: ${outcome.error.message}` : `${text}: done`,
    {
      sessionId: effect.r.sessionId,
      handleId: effect.r.handleId,
      effect: { ...effect.r },
    },
  );
  return result;
}

/** It could not be done. A create leaves nothing; a handle that was to delete its file is closed all the same. */
function undo(
  tx: Tx,
  effect: EffectRow,
  handle: HandleRow | undefined,
  error: v1.IErrorDetail,
): v1.ICommandResult {
  if (handle?.state === v1.HandleState.HANDLE_PENDING && handle.effectId === effect.r.id) {
    tx.store.handles.displace(handle);
    tx.store.handles.remove(handle);
    tx.store.drop(handle);
    tx.wakeHandle(handle);
  }
  if (handle?.state === v1.HandleState.HANDLE_CLOSING) {
    handle.more().closeReason = error.message ?? "its file could not be deleted";
    closed(tx, handle);
    return { close: {} };
  }
  return failed({ ...error });
}

function closed(tx: Tx, handle: HandleRow): void {
  handle.state = v1.HandleState.HANDLE_CLOSED;
  handle.effectId = 0;
  tx.touchHandle(handle);
  buryTombstone(tx, handle);
}

function plainDone(tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect): v1.ICommandResult {
  const handle = handleOfEffect(tx, effect);
  const result: v1.IEffectResult = {
    status: v1.EffectResult.Status.DONE,
    outcome: new Uint8Array(outcome.outcome ?? []),
    fileId: outcome.fileId || effect.r.fileId,
    effect: { ...effect.r },
  };
  if (handle !== undefined) result.handle = handle.toRecord();
  return { effect: result };
}

/** Size, attributes or times of a file that stays where it is. */
function finishChange(tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect): v1.ICommandResult {
  if (!mutant.directoryLeaseOfSizes)
    noteChangedBy(tx, effect, handleOfEffect(tx, effect)?.path ?? effect.r.path);
  return plainDone(tx, effect, outcome);
}

/**
 * The appends that wait behind this one were given an offset that it has taken: they get the new end. Otherwise each of
 * them would find the file grown when its turn comes, and of N that wait all but one would have to start over.
 */
function finishAppend(tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect): v1.ICommandResult {
  // Whoever looked at the end of the file before this append stood there must look again: given the same offset, and dead
  // before it wrote, it would have its "incomplete" append taken back by cutting this one off.
  noteNameChange(tx, effect.r.share, appendMark(effect.r.fileId), false);
  for (const pending of tx.store.pending.ofFile(effect.r.share, effect.r.fileId)) {
    const command = v1.Command.decode(pending.r.command);
    const waiting = command.beginEffect?.effect;
    if (waiting?.kind !== v1.EffectKind.EFFECT_APPEND) continue;
    waiting.offset = outcome.size ?? 0;
    waiting.sizeBefore = outcome.size ?? 0;
    waiting.begunRevision = tx.revision;
    pending.r.command = v1.Command.encode(command).finish();
    tx.store.touch(pending);
  }
  return finishChange(tx, effect, outcome);
}

function finishCreate(tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect): v1.ICommandResult {
  const r = effect.r;
  if (r.kind !== v1.EffectKind.EFFECT_OVERWRITE) noteNameChange(tx, r.share, r.path, false);
  const handle = handleOfEffect(tx, effect);
  if (handle === undefined || handle.state !== v1.HandleState.HANDLE_PENDING || handle.effectId !== r.id)
    return finishChange(tx, effect, outcome);
  return completeOpen(tx, handle, {
    fileId: outcome.fileId || r.fileId,
    action: outcome.createAction || handle.createAction,
    directory: outcome.directory || r.directory,
    lease: handle.extras?.leaseRequest ?? null,
  });
}

function finishDelete(tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect): v1.ICommandResult {
  const r = effect.r;
  noteNameChange(tx, r.share, r.path, r.directory);
  const handle = handleOfEffect(tx, effect);
  noteChangedBy(tx, effect, r.path);
  if (handle?.state !== v1.HandleState.HANDLE_CLOSING) return plainDone(tx, effect, outcome);
  // What the close has stored stays, unless whoever deleted the file knows better.
  const closeResult = outcome.outcome?.length
    ? new Uint8Array(outcome.outcome)
    : (handle.extras?.closeResult ?? new Uint8Array(0));
  handle.more().closeResult = closeResult;
  closed(tx, handle);
  return { close: { closeResult } };
}

function finishName(tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect): v1.ICommandResult {
  const r = effect.r;
  const path = r.targetPath || r.path;
  noteNameChange(tx, r.share, path, false);
  noteChangedBy(tx, effect, path);
  return plainDone(tx, effect, outcome);
}

/** Handles and leases go on with the copy. Who looked at the name before has to look again: another file stands there. */
function finishFence(tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect): v1.ICommandResult {
  const r = effect.r;
  const { handles, leases } = tx.store;
  const fileId = outcome.fileId || r.fileId;
  noteNameChange(tx, r.share, r.path, false);
  for (const handle of [...handles.ofFile(r.share, r.fileId)]) {
    handles.refile(handle, fileId);
    tx.touchHandle(handle);
  }
  for (const lease of [...leases.ofFile(r.share, r.fileId)]) {
    leases.refile(lease, fileId);
    tx.store.touch(lease);
  }
  for (const waiting of [...tx.store.pending.ofFile(r.share, r.fileId)]) {
    tx.store.pending.refile(waiting, fileId);
    tx.store.touch(waiting);
  }
  tx.wake(r.share, r.path, fileId);
  return plainDone(tx, effect, outcome);
}

/** Open handles and leases follow their file to its new path, those below a directory too. */
function finishRename(tx: Tx, effect: EffectRow, outcome: v1.IFinishEffect): v1.ICommandResult {
  const r = effect.r;
  const { handles, leases } = tx.store;
  noteNameChange(tx, r.share, r.path, r.directory);
  noteNameChange(tx, r.share, r.targetPath, r.directory);
  const moved = [...handles.paths.at(r.share, r.path), ...handles.paths.below(r.share, r.path)];
  // Sorted: indexes may hold rows in another order after a load, and events are in the order of this loop.
  for (const handle of moved.sort(byHandleId)) {
    if (handle.path === r.path && r.fileId !== "" && handle.fileId !== "" && handle.fileId !== r.fileId)
      continue;
    handles.repath(handle, newPath(handle.path, r.path, r.targetPath));
    tx.touchHandle(handle);
    tx.emitHandle(
      EventKind.handleRenamed,
      handle.ownerNode,
      handle,
      `${r.share}:${handle.path} is its new path`,
    );
  }
  for (const lease of [...leases.paths.at(r.share, r.path), ...leases.paths.below(r.share, r.path)]) {
    leases.repath(lease, newPath(lease.r.path, r.path, r.targetPath));
    tx.store.touch(lease);
  }
  noteChangedBy(tx, effect, r.path);
  noteChangedBy(tx, effect, r.targetPath);
  tx.wake(r.share, r.path, r.fileId);
  tx.wake(r.share, r.targetPath, r.targetFileId);
  return plainDone(tx, effect, outcome);
}

function newPath(path: string, from: string, to: string): string {
  return isBelow(path, from) ? to + path.slice(from.length) : to;
}
