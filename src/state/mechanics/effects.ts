import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { bytesOf, type Id, idOf } from "../ids.js";
import { mutant } from "../mutants.js";
import { Access } from "../rules/access.js";
import type { BreakOperation } from "../rules/lease-break.js";
import { LeaseBit } from "../rules/lease-state.js";
import { tailFrom } from "../rules/tail.js";
import type { HandleRow } from "../tables/handles.js";
import type { EffectRow, PendingRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { type Actor, breakLeases, breakOne, isOwn } from "./breaks.js";
import { parentKeyOf } from "./changes.js";
import { effectBefore, effectText } from "./effect-conflicts.js";
import { addEffect } from "./effect-rows.js";
import { absentHolders, type Aspirant, holdersOf, shareModes, type Step, waitingText } from "./holders.js";
import { appendMark, changedSince, writeMark } from "./names.js";
import { byHandleId } from "./order.js";
import { park } from "./parking.js";
import { earlierOffsets } from "./taken-back.js";
import {
  closeTail,
  nodesToClose,
  reopenTail,
  tailBefore,
  tailBeforeText,
  writerMovedSince,
} from "./tails.js";

/** An effect that is to be announced, for the first time or again after it was parked. */
export interface EffectAttempt {
  readonly session: SessionRow;
  readonly command: v1.IBeginEffect;
  /** The effect as it will be recorded: with a handle, names and file are the handle's. */
  readonly effect: v1.IEffectRecord;
  readonly handle: HandleRow | null;
  readonly digest: Id;
  readonly parked: PendingRow | null;
}

type Rule = (tx: Tx, attempt: EffectAttempt) => Step | "done";

/** What each kind has to observe before it may be announced (semantics.md F4). A missing kind does not compile. */
const RULES: Record<v1.EffectKind, Rule> = {
  [v1.EffectKind.EFFECT_KIND_UNSPECIFIED]: unsupported,
  [v1.EffectKind.EFFECT_CREATE]: unsupported,
  [v1.EffectKind.EFFECT_OVERWRITE]: unsupported,
  [v1.EffectKind.EFFECT_SUPERSEDE]: unsupported,
  [v1.EffectKind.EFFECT_DELETE]: mayDelete,
  [v1.EffectKind.EFFECT_RENAME]: mayRename,
  [v1.EffectKind.EFFECT_LINK]: mayLink,
  [v1.EffectKind.EFFECT_TRUNCATE]: mayChangeData,
  [v1.EffectKind.EFFECT_APPEND]: mayChangeData,
  [v1.EffectKind.EFFECT_MKDIR]: mayMakeDirectory,
  [v1.EffectKind.EFFECT_SET_ATTRIBUTES]: mayChangeAttributes,
  [v1.EffectKind.EFFECT_FENCE]: mayFence,
  [v1.EffectKind.EFFECT_FOREIGN]: unsupported,
};

/** Announces an effect: what conflicts is refused or waited for, then its owner may perform it. */
export function attemptEffect(tx: Tx, attempt: EffectAttempt): v1.ICommandResult {
  const { effect, handle } = attempt;
  const before = effectBefore(tx, effect);
  if (before !== null) return parkEffect(tx, attempt, effectText(before));
  const from = tailFrom(effect);
  const closing =
    from === null ? null : tailBefore(tx, effect.share ?? "", effect.fileId ?? "", attempt.parked);
  if (closing !== null) return parkEffect(tx, attempt, tailBeforeText(closing));
  const stale = observationProblem(tx, effect, handle);
  if (stale !== null) return stale;
  const step = RULES[effect.kind ?? 0](tx, attempt);
  if (step === "done")
    return { effect: { status: v1.EffectResult.Status.DONE, fileId: effect.fileId ?? "" } };
  if (step !== null) {
    if ("refuse" in step) return step.refuse;
    reopenTail(tx, attempt.parked);
    return parkEffect(tx, attempt, step.waitFor);
  }
  if (from !== null && !attempt.parked?.r.prepared) {
    const nodes = nodesToClose(tx, effect.share ?? "", effect.fileId ?? "", effect.owner ?? "");
    if (nodes.length > 0) return closeTailFirst(tx, attempt, nodes, from);
  }
  if (attempt.parked?.r.preparing.length) return parkedEffect(attempt.parked);
  const row = addEffect(tx, { ...effect, earlierOffsets: earlierOffsets(tx, attempt.session, effect) });
  if (handle !== null) tx.touchHandle(handle);
  return { effect: { status: v1.EffectResult.Status.PERFORM, effect: { ...row.r } } };
}

function closeTailFirst(
  tx: Tx,
  attempt: EffectAttempt,
  nodes: v1.INodeIncarnation[],
  from: number,
): v1.ICommandResult {
  const interim = parkEffect(tx, attempt, "other nodes, which may write to the file");
  const pending = attempt.parked ?? tx.store.pending.byId.get(interim.effect?.pendingId ?? 0);
  if (pending !== undefined) closeTail(tx, pending, nodes, from);
  return interim;
}

function observationProblem(
  tx: Tx,
  effect: v1.IEffectRecord,
  handle: HandleRow | null,
): v1.ICommandResult | null {
  const seen = effect.begunRevision ?? 0;
  if (seen === 0 || mutant.staleObservationAccepted) return null;
  const share = effect.share ?? "";
  const paths = [effect.path ?? "", effect.targetPath ?? ""].filter((path) => path !== "");
  const append = effect.kind === v1.EffectKind.EFFECT_APPEND;
  if (append) paths.push(appendMark(effect.fileId ?? ""), writeMark(effect.fileId ?? ""));
  const changed = paths.some((path) => changedSince(tx, share, path, seen));
  if (!changed && !(append && writerMovedSince(tx, share, effect.fileId ?? "", handle, seen))) return null;
  return fail(ErrorCode.NOT_READY, `${share}:${effect.path} changed meanwhile`, {
    retryAfterMs: 1,
  });
}

function parkEffect(tx: Tx, attempt: EffectAttempt, waitsFor: string): v1.ICommandResult {
  const { parked, effect, command } = attempt;
  if (parked !== null) {
    parked.r.waitsFor = waitsFor;
    tx.store.touch(parked);
    return parkedEffect(parked);
  }
  const pending = park(tx, attempt.session, {
    command: { beginEffect: { ...command, effect } },
    request: command.request,
    digest: attempt.digest,
    handleId: attempt.handle?.id ?? "",
    share: effect.share ?? "",
    path: effect.path ?? "",
    targetPath: effect.targetPath ?? "",
    fileId: effect.fileId ?? "",
    waitsFor,
  });
  return parkedEffect(pending);
}

function parkedEffect(pending: PendingRow): v1.ICommandResult {
  return { effect: { status: v1.EffectResult.Status.PARKED, pendingId: pending.r.id } };
}

function refuse(code: ErrorCode, text: string): Step {
  return { refuse: fail(code, text) };
}

function where(effect: v1.IEffectRecord): string {
  return `${effect.share}:${effect.path}`;
}

function unsupported(_tx: Tx, attempt: EffectAttempt): Step {
  return refuse(
    ErrorCode.INVALID_ARGUMENT,
    `effect kind ${attempt.effect.kind ?? 0} cannot be begun this way`,
  );
}

function needs(attempt: EffectAttempt, rights: number, name: string): Step {
  if (attempt.handle === null || (attempt.handle.grantedAccess & rights) !== 0) return null;
  return refuse(ErrorCode.ACCESS_DENIED, `${where(attempt.effect)}: the handle has no right to ${name}`);
}

function actorOf(attempt: EffectAttempt): Actor {
  return { client: attempt.session.client, leaseKey: attempt.handle?.leaseKey ?? "" };
}

function breaks(tx: Tx, attempt: EffectAttempt, operation: BreakOperation): Step {
  const { effect } = attempt;
  const waiting = breakLeases(tx, effect.share ?? "", effect.fileId ?? "", operation, actorOf(attempt));
  return waiting.length === 0 ? null : { waitFor: waitingText(waiting) };
}

function mayRename(tx: Tx, attempt: EffectAttempt): Step | "done" {
  const { effect, handle } = attempt;
  const share = effect.share ?? "";
  const target = effect.targetPath ?? "";
  if (target === "") return refuse(ErrorCode.INVALID_ARGUMENT, "a rename needs a target path");
  if (target === effect.path) return "done";
  const rights = needs(attempt, Access.delete, "delete, which a rename needs");
  if (rights !== null) return rights;
  const marked = tx.store.handles.paths
    .at(share, effect.path ?? "")
    .some((other) => other.holds && other.deleteSet);
  if (marked) return refuse(ErrorCode.ACCESS_DENIED, `${where(effect)} is marked for deletion`);
  if (handle === null) {
    const source = asDeleter(tx, attempt);
    if (source !== null) return source;
  }
  if (effect.directory) {
    const below = noneBelow(tx, attempt);
    if (below !== null) return below;
  }
  return targetFree(tx, attempt) ?? breaks(tx, attempt, "rename");
}

/** Without a handle the call stands for an open with the right to delete, shared with everybody. */
function asDeleter(tx: Tx, attempt: EffectAttempt): Step {
  const { effect } = attempt;
  const aspirant: Aspirant = {
    ...actorOf(attempt),
    access: Access.delete,
    share: 7,
    overwrites: false,
  };
  const holders = holdersOf(tx, effect.share ?? "", effect.path ?? "", effect.fileId ?? "", null);
  return absentHolders(tx, holders, aspirant) ?? shareModes(tx, holders, aspirant);
}

/**
 * A directory is not renamed above open handles: their paths would change under them. Those with H are asked to give up
 * first; a holder that is away is not waited for (semantics.md C3).
 */
function noneBelow(tx: Tx, attempt: EffectAttempt): Step {
  if (mutant.renameAboveOpen) return null;
  const { effect } = attempt;
  const below = tx.store.handles.paths
    .below(effect.share ?? "", effect.path ?? "")
    .filter((other) => other.holds)
    .sort(byHandleId);
  if (below.length === 0) return null;
  const stuck = below.find((other) => !canGiveUp(tx, other, actorOf(attempt)));
  if (stuck === undefined) {
    const leases = new Set(below.flatMap((other) => tx.store.leases.of(other) ?? []));
    const waiting = [...leases].filter((lease) => breakOne(tx, lease, "share-conflict"));
    if (waiting.length > 0) return { waitFor: waitingText(waiting) };
  }
  return refuse(ErrorCode.ACCESS_DENIED, `${where(effect)}: files below are open`);
}

function canGiveUp(tx: Tx, other: HandleRow, actor: Actor): boolean {
  const lease = tx.store.leases.of(other);
  return (
    other.isConnected &&
    lease !== undefined &&
    (lease.r.state & LeaseBit.handle) !== 0 &&
    !isOwn(lease, actor)
  );
}

function targetFree(tx: Tx, attempt: EffectAttempt): Step {
  const { effect } = attempt;
  const share = effect.share ?? "";
  const target = effect.targetPath ?? "";
  const holders = tx.store.handles.paths
    .at(share, target)
    .filter((other) => other.holds)
    .sort(byHandleId);
  const text = `${share}:${target}`;
  if (holders.some((other) => other.deleteSet))
    return refuse(ErrorCode.DELETE_PENDING, `${text} is being deleted`);
  if (effect.targetFileId && !effect.replace)
    return refuse(ErrorCode.OBJECT_NAME_COLLISION, `${text} exists already`);
  if (holders.length === 0) return null;
  const stuck = holders.find((other) => !canGiveUp(tx, other, actorOf(attempt)));
  if (stuck === undefined) {
    const leases = new Set(holders.flatMap((other) => tx.store.leases.of(other) ?? []));
    const waiting = [...leases].filter((lease) => breakOne(tx, lease, "share-conflict"));
    if (waiting.length > 0) return { waitFor: waitingText(waiting) };
  }
  return refuse(ErrorCode.ACCESS_DENIED, `${text} is open`);
}

function mayLink(tx: Tx, attempt: EffectAttempt): Step | "done" {
  if (!attempt.effect.targetPath) return refuse(ErrorCode.INVALID_ARGUMENT, "a link needs a target path");
  if (attempt.effect.directory) return refuse(ErrorCode.FILE_IS_A_DIRECTORY, "directories have no links");
  return targetFree(tx, attempt) ?? breaks(tx, attempt, "rename");
}

/**
 * Removal by path. Nobody has it open: an effect. Somebody has, and shares deletion: the file is marked and goes with its
 * last handle.
 */
function mayDelete(tx: Tx, attempt: EffectAttempt): Step | "done" {
  const { effect, handle } = attempt;
  if (handle !== null)
    return refuse(ErrorCode.INVALID_ARGUMENT, "an open file is deleted by its disposition and its close");
  const share = effect.share ?? "";
  const path = effect.path ?? "";
  const holders = holdersOf(tx, share, path, effect.fileId ?? "", null).filter(
    (other) => other.path === path,
  );
  if (holders.some((other) => other.deleteSet))
    return refuse(ErrorCode.DELETE_PENDING, `${where(effect)} is marked for deletion`);
  const conflict = asDeleter(tx, attempt);
  if (conflict !== null) return conflict;
  if (effect.directory) {
    const below = noneBelow(tx, attempt);
    if (below !== null) return below;
  }
  const waiting = breaks(tx, attempt, "delete");
  if (waiting !== null) return waiting;
  const heir = holders.filter((other) => other.holds).sort(byHandleId)[0];
  if (heir === undefined) return null;
  heir.deleteSet = true;
  tx.touchHandle(heir);
  return "done";
}

function mayChangeData(tx: Tx, attempt: EffectAttempt): Step {
  if (attempt.handle === null) return refuse(ErrorCode.INVALID_ARGUMENT, "data is changed through a handle");
  const append = attempt.effect.kind === v1.EffectKind.EFFECT_APPEND;
  const rights = Access.writeData | (append ? Access.appendData : 0);
  return needs(attempt, rights, "write") ?? breaks(tx, attempt, "write");
}

function mayChangeAttributes(_tx: Tx, attempt: EffectAttempt): Step {
  if (attempt.handle === null)
    return refuse(ErrorCode.INVALID_ARGUMENT, "attributes are changed through a handle");
  return needs(attempt, Access.writeAttributes, "change attributes");
}

/**
 * A file may go on as a copy only while all its handles are the asking node's: an owner that is alive would go on with the
 * file that loses its name.
 */
function mayFence(tx: Tx, attempt: EffectAttempt): Step {
  const { effect } = attempt;
  // One that was announced before and comes late, or waited: the session is served again.
  if (!attempt.session.r.takenOver)
    return refuse(ErrorCode.PRECONDITION_FAILED, `session ${attempt.session.r.id} is not being taken over`);
  // Any other session, at the same node too: it may be served already, by a descriptor of the file that is replaced.
  const other = tx.store.handles
    .ofFile(effect.share ?? "", effect.fileId ?? "")
    .filter((handle) => handle.holds && handle.session !== attempt.session)
    .sort(byHandleId)[0];
  if (other === undefined) return null;
  return refuse(ErrorCode.SHARING_VIOLATION, `${where(effect)} is open in session ${other.session.r.id} too`);
}

function mayMakeDirectory(tx: Tx, attempt: EffectAttempt): Step {
  const { effect } = attempt;
  const there = tx.store.handles.paths.at(effect.share ?? "", effect.path ?? "");
  if (effect.fileId || there.some((other) => other.holds))
    return refuse(ErrorCode.OBJECT_NAME_COLLISION, `${where(effect)} exists already`);
  return null;
}

/** Fills in what the state knows better than the caller. */
export function effectOf(
  tx: Tx,
  session: SessionRow,
  handle: HandleRow | null,
  command: v1.IBeginEffect,
  digest: Id,
): v1.IEffectRecord {
  const given = command.effect ?? {};
  const effect: v1.IEffectRecord = {
    ...given,
    sessionId: session.r.id,
    owner: session.r.owner,
    ownerIncarnation: session.r.ownerIncarnation,
    requestDigest: bytesOf(digest),
    handedOver: 0,
    expiry: false,
    parentKey: handle === null ? (given.parentKey ?? null) : bytesOf(parentKeyOf(tx, handle)),
  };
  if (command.request) effect.request = { ...command.request };
  else delete effect.request;
  if (handle === null) return effect;
  return {
    ...effect,
    share: handle.share,
    path: handle.path,
    fileId: handle.fileId,
    directory: handle.directory,
  };
}

/** The handle of an effect, if it still exists. */
export function handleOfEffect(tx: Tx, effect: EffectRow): HandleRow | undefined {
  return tx.store.handles.byId.get(idOf(effect.r.handleId));
}
