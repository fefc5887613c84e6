import { ErrorCode } from "../../wire/errors.js";
import { toBigInt, type v1 } from "../../wire/index.js";
import { EventKind } from "../events.js";
import { idOf } from "../ids.js";
import { mutant } from "../mutants.js";
import { Access, specificAccess } from "../rules/access.js";
import type { HandleRow } from "../tables/handles.js";
import type { PendingRow } from "../tables/records.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, type Tx } from "../tx.js";
import { closeHandle } from "./closing.js";
import { effectText } from "./effect-conflicts.js";
import { upNodes } from "./file-locks.js";
import { byHandleId } from "./order.js";
import { finishPending } from "./parking.js";
import { mayAppend } from "./tails.js";

/**
 * What a takeover comes to: a refusal, or what the open has to wait for; `nodes` have to say first that nothing of the
 * handles that were closed can land any more. Null: nothing was taken over, or nobody has to be waited for.
 */
export type Takeover =
  | { readonly refuse: v1.ICommandResult }
  | { readonly waitFor: string; readonly nodes: v1.INodeIncarnation[] }
  | null;

/**
 * Application takeover (semantics.md D3): a create with the application instance of another client's open of the same file
 * closes that one, wherever it lives, unless its version is not newer: then the caller is the old instance. The close is
 * an entry of its own before the open: what the old handle has under way at its node ends first, or a write of the old
 * instance could land in the file of the new one. Opens of the old instance that wait are over as well.
 */
export function takeOverApplication(tx: Tx, session: SessionRow, command: v1.IOpenHandle): Takeover {
  const instance = command.appInstance;
  const id = idOf(instance?.id);
  if (!instance || id === "") return null;
  const earlier = opensOfInstance(tx, session, command, id);
  for (const handle of earlier) {
    if (isNewer(instance, handle.extras?.appInstance ?? {}) || mutant.appInstanceVersionIgnored) continue;
    return { refuse: forcedClosed(command, "a version that is not older") };
  }
  if (earlier.length === 0) return null;
  if ((specificAccess(command.maximalAccess || command.desiredAccess || 0) & Access.readData) === 0)
    return {
      refuse: fail(ErrorCode.ACCESS_DENIED, "taking over an application's file needs the right to read it"),
    };
  for (const handle of earlier) {
    const running = tx.store.effects.ofHandle(handle.id)[0];
    if (running !== undefined) return { waitFor: effectText(running), nodes: [] };
  }
  const nodes = nodesWriting(tx, earlier);
  for (const handle of earlier) takeFrom(tx, handle, command);
  return nodes.length === 0 ? null : { waitFor: TAKEN_FROM, nodes };
}

function takeFrom(tx: Tx, handle: HandleRow, command: v1.IOpenHandle): void {
  const waiting = tx.store.pending.byId.get(handle.pendingId);
  if (waiting !== undefined) finishPending(tx, waiting, forcedClosed(command, "a newer version"));
  else closeHandle(tx, handle, "forced", "another instance of its application took over");
}

function forcedClosed(command: v1.IOpenHandle, whose: string): v1.ICommandResult {
  return fail(
    ErrorCode.FILE_FORCED_CLOSED,
    `${command.share}:${command.path} belongs to an instance of this application with ${whose}`,
    { next: "stop this instance" },
  );
}

function opensOfInstance(tx: Tx, session: SessionRow, command: v1.IOpenHandle, id: string): HandleRow[] {
  return tx.store.handles.paths
    .at(command.share ?? "", command.path ?? "")
    .filter(
      (handle) =>
        (handle.isOpen || handle.pendingId !== 0) &&
        handle.client !== session.client &&
        idOf(handle.extras?.appInstance?.id) === id,
    )
    .sort(byHandleId);
}

/**
 * Nodes at which a write of these handles may be on its way. Of a client that is away nothing runs any more; one that waits
 * for the writes of its own predecessor leaves the wait to whoever takes its place.
 */
function nodesWriting(tx: Tx, handles: readonly HandleRow[]): v1.INodeIncarnation[] {
  const names = new Set<string>();
  for (const handle of handles) {
    if (handle.isOpen && handle.isConnected && mayAppend(handle)) names.add(handle.ownerNode);
    for (const { node } of tx.store.pending.byId.get(handle.pendingId)?.r.ending ?? []) names.add(node ?? "");
  }
  return upNodes(tx, [...names].sort());
}

/**
 * True while an open of this file, other than `parked`, waits for the last writes of the instance that it took the file
 * from: nobody is let in before they have ended, or they would land in his file.
 */
export function takeoverBefore(tx: Tx, share: string, fileId: string, parked: PendingRow | null): boolean {
  if (tx.store.pending.byId.size === 0) return false;
  return tx.store.pending
    .ofFile(share, fileId)
    .some((other) => other !== parked && other.r.ending.length > 0);
}

/** For people: what such an open waits for, and those behind it. */
export const TAKEN_FROM = "what the other instance has under way";

/** Asks those nodes, as before a file is cut: each answers when no write is under way there (`LockPrepared`). */
export function awaitEnd(tx: Tx, pending: PendingRow, nodes: v1.INodeIncarnation[]): void {
  const { r } = pending;
  r.ending = nodes;
  tx.store.touch(pending);
  const text = `call ${r.id} takes ${r.share}:${r.path} over from another instance`;
  for (const { node } of nodes)
    tx.emit(EventKind.lockPrepare, node ?? "", text, {
      lockPrepare: { pendingId: r.id, share: r.share, fileId: r.fileId, tail: true, tailFrom: 0 },
    });
}

/** Equal is not newer; a stored version needs one to be compared with. */
function isNewer(asked: v1.IAppInstance, stored: v1.IAppInstance): boolean {
  if (!stored.hasVersion) return true;
  if (!asked.hasVersion) return false;
  const high = toBigInt(asked.versionHigh) - toBigInt(stored.versionHigh);
  return high !== 0n ? high > 0n : toBigInt(asked.versionLow) > toBigInt(stored.versionLow);
}
