import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { idOf } from "../ids.js";
import { mutant } from "../mutants.js";
import { checkFence } from "../mechanics/fence.js";
import { reconnectIdentity } from "../mechanics/identity.js";
import { openResult } from "../mechanics/opening.js";
import { onceOnly } from "../mechanics/reply-cache.js";
import { resumeHandle } from "../mechanics/resuming.js";
import { leftBySplit, movedTo } from "../mechanics/splitting.js";
import { settleSession } from "../mechanics/takeover.js";
import { LeaseBit } from "../rules/lease-state.js";
import type { HandleRow } from "../tables/handles.js";
import { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";

/**
 * A client resumes a handle (semantics.md A6). What the handle was opened with stays: the request's access, share mode and
 * disposition do not count. A refusal changes nothing about the handle.
 */
export function reconnectHandle(tx: Tx, command: v1.IReconnectHandle): v1.ICommandResult {
  const session = checkFence(tx, command.fence);
  if (!(session instanceof SessionRow)) return failed(session);
  const result = onceOnly(
    tx,
    session,
    command.request,
    () => reconnectIdentity(command),
    () => reconnect(tx, session, command),
  );
  return result.repeated ? resumedNow(tx, session, command, result) : result;
}

/**
 * The answer was lost with its connection, and the client asks for it on the next one: there the handle is not in its hand
 * yet, and of the break of its lease it may not have heard. So it is resumed again.
 */
function resumedNow(
  tx: Tx,
  session: SessionRow,
  command: v1.IReconnectHandle,
  result: v1.ICommandResult,
): v1.ICommandResult {
  const handle = tx.store.handles.byId.get(idOf(result.open?.handle?.id));
  if (!handle?.isOpen || handle.session !== session) return result;
  const resumed = handle.isConnected ? null : reconnect(tx, session, command);
  if (resumed?.error) return resumed;
  // What it says of the file is of now, and so must its revision be.
  const open = { ...openResult(tx, handle, false), reconnected: true };
  return { ...result, revision: tx.revision, open };
}

function reconnect(tx: Tx, session: SessionRow, command: v1.IReconnectHandle): v1.ICommandResult {
  const handle = find(tx, command);
  if (handle === null) return notFound("no such handle");
  settleSession(tx, handle.session);
  if (handle.state === v1.HandleState.HANDLE_PENDING)
    return fail(ErrorCode.FILE_NOT_AVAILABLE, "the create of this handle is still under way", {
      retryAfterMs: 200,
    });
  // An operator sent it elsewhere; its client goes there instead of fetching it back.
  if (leftBySplit(tx, session, handle)) return failed(movedTo(tx, handle));
  const mismatch = mismatchOf(tx, session, command, handle);
  if (mismatch !== null) return notFound(mismatch);
  const invalid = invalidOf(tx, command, handle);
  if (invalid !== null) return fail(ErrorCode.INVALID_PARAMETER, invalid);
  if (handle.principal !== session.r.principal && !mutant.principalUnchecked)
    return fail(ErrorCode.ACCESS_DENIED, "the handle belongs to another principal");
  const refused = resumeHandle(tx, session, handle, { keepReplayEligible: false });
  return refused ?? { open: { ...openResult(tx, handle, false), reconnected: true } };
}

/** By the persistent id; a persistent one also by its guid, when the id was never learned. */
function find(tx: Tx, command: v1.IReconnectHandle): HandleRow | null {
  const byId = tx.store.handles.byId.get(idOf(command.handleId));
  if (byId !== undefined) return byId.isInPlace ? byId : null;
  const guid = idOf(command.createGuid);
  if (!command.persistent || guid === "") return null;
  const byGuid = tx.store.handles
    .withGuid(guid)
    .find(
      (handle) =>
        handle.isInPlace &&
        handle.kind === v1.HandleKind.PERSISTENT &&
        tx.store.share(handle.share)?.continuouslyAvailable,
    );
  return byGuid ?? null;
}

/** What makes it another handle than the one that was asked for; all of these are OBJECT_NAME_NOT_FOUND. */
function mismatchOf(
  tx: Tx,
  session: SessionRow,
  command: v1.IReconnectHandle,
  handle: HandleRow,
): string | null {
  const persistent = handle.kind === v1.HandleKind.PERSISTENT;
  const key = idOf(command.lease?.key);
  if (handle.leaseKey !== "" && handle.client !== session.client)
    return "its lease belongs to another client";
  if (persistent && !command.persistent) return "it is persistent, which the request does not say";
  if (handle.createGuid !== idOf(command.createGuid)) return "the create guid differs";
  if (handle.kind === v1.HandleKind.PLAIN) return "it does not outlive its connection";
  if (handle.isConnected && !isRepeat(session, command, handle) && !mutant.stealConnected)
    return "it is connected";
  if ((key !== "") !== (handle.leaseKey !== "")) return "only one side has a lease";
  if (key !== handle.leaseKey) return "the lease key differs";
  if (key !== "" && (command.lease?.version || 2) !== handle.leaseVersion) return "the lease version differs";
  const state = tx.store.leases.of(handle)?.r.state ?? 0;
  if (handle.kind === v1.HandleKind.DURABLE && (state & LeaseBit.handle) === 0)
    return "it is durable, and its lease has lost the right to be";
  return null;
}

/**
 * The client has not heard that it has the handle already: it was resumed in this session, on the present connection, and
 * the answer was lost or left that open. Refused, the repeat would cost the client a handle that is its own. A client that
 * resumes what it has in hand names the present volatile id, and is told so.
 */
function isRepeat(session: SessionRow, command: v1.IReconnectHandle, handle: HandleRow): boolean {
  const known = command.volatileId ?? 0;
  return handle.session === session && known !== 0 && known !== handle.volatileId;
}

function invalidOf(tx: Tx, command: v1.IReconnectHandle, handle: HandleRow): string | null {
  if (command.otherContexts) return "the request carries other create contexts";
  const marked = handle.deleteInitial || handle.deleteSet;
  const lease = tx.store.leases.of(handle);
  if (lease !== undefined && !marked && command.path && command.path !== lease.r.path)
    return `the path "${command.path}" is not that of the lease`;
  if (command.persistent && handle.kind !== v1.HandleKind.PERSISTENT) return "the handle is not persistent";
  return null;
}

function notFound(why: string): v1.ICommandResult {
  return fail(ErrorCode.OBJECT_NAME_NOT_FOUND, `the handle cannot be resumed: ${why}`, {
    next: "open the file again",
  });
}
