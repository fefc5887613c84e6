import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { idOf, shortHex } from "../ids.js";
import { closeHandle as close } from "../mechanics/closing.js";
import { checkHandleFence, unknownHandle } from "../mechanics/fence.js";
import { closeIdentity } from "../mechanics/identity.js";
import { onceOnly } from "../mechanics/reply-cache.js";
import type { HandleRow } from "../tables/handles.js";
import type { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";
import { bytesProblem } from "../validate.js";

/** Who closes it, and why, with the words around them: each of the two is a label. */
const FORCED_MAX = 3 * limits.labelBytesMax;

/**
 * A client closes its handle. The answer says whether a file has to be deleted first. A close that comes again gets the
 * answer of the first one from the tombstone, with or without a request id (semantics.md B5).
 */
export function closeHandleCommand(tx: Tx, command: v1.ICloseHandle): v1.ICommandResult {
  const found = checkHandleFence(tx, command.fence, idOf(command.handleId));
  if (!("handle" in found)) return failed(found);
  return onceOnly(
    tx,
    found.session,
    command.request,
    () => closeIdentity(command),
    () => closeOnce(tx, found.session, found.handle, command),
  );
}

function closeOnce(
  tx: Tx,
  session: SessionRow,
  handle: HandleRow,
  command: v1.ICloseHandle,
): v1.ICommandResult {
  const problem = bytesProblem("close result", command.closeResult, limits.replyBytesMax);
  if (problem !== null) return problem;
  if ((command.forced ?? "").length > FORCED_MAX)
    return fail(ErrorCode.LIMIT_EXCEEDED, `the reason is longer than ${FORCED_MAX} characters`);
  if (handle.state === v1.HandleState.HANDLE_CLOSED) return again(session, handle);
  if (handle.state === v1.HandleState.HANDLE_CLOSING) return underWay(tx, handle);
  if (handle.state !== v1.HandleState.HANDLE_OPEN || !handle.isConnected)
    return failed(unknownHandle(session, handle.id));
  const running = tx.store.effects.ofHandle(handle.id)[0];
  if (running !== undefined)
    return fail(ErrorCode.NOT_READY, `effect ${running.r.id} of handle ${shortHex(handle.id)} is under way`, {
      retryAfterMs: 5,
    });
  if (command.forced) return closeForced(tx, handle, command.forced);
  const effect = close(tx, handle, "client", "closed by its client", command.unmodified ?? false);
  const closeResult = new Uint8Array(command.closeResult ?? []);
  if (closeResult.length > 0) handle.more().closeResult = closeResult;
  if (effect === null) return { close: { closeResult } };
  effect.r.request = command.request ? { ...command.request } : null;
  return { close: { perform: true, effect: { ...effect.r }, closeResult } };
}

/** By its owner, which was asked to when nothing runs on it any more: whoever asked waits for that. */
function closeForced(tx: Tx, handle: HandleRow, text: string): v1.ICommandResult {
  close(tx, handle, "forced", text);
  return { close: {} };
}

/** Closed by its client: the same answer again. Closed by somebody else: the client has to learn of it. */
function again(session: SessionRow, handle: HandleRow): v1.ICommandResult {
  const extras = handle.extras;
  if (extras?.closeReason) return failed(unknownHandle(session, handle.id));
  return { close: { repeated: true, closeResult: extras?.closeResult ?? new Uint8Array(0) } };
}

function underWay(tx: Tx, handle: HandleRow): v1.ICommandResult {
  const effect = tx.store.effects.byId.get(handle.effectId);
  if (effect === undefined) return { close: { repeated: true } };
  return { close: { perform: true, repeated: true, effect: { ...effect.r } } };
}
