import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import type { NodeCore } from "../core.js";
import { effectReply } from "../effects/reply.js";
import type { Call, Reply } from "./call.js";
import { openReply } from "./open.js";

/** Says what became of a mutating call whose answer was lost: never seen, under way, or its answer. */
export async function resolveCall(core: NodeCore, call: Call, request: v1.IResolveRequest): Promise<Reply> {
  core.admit(call.session);
  const asked = request.request;
  if (!asked) throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, "resolve names no request id");
  const answer = await core.options.coordinator.query(
    { slot: { sessionId: call.session.id, slot: asked.slot ?? 0 } },
    call.deadlineMs,
  );
  if (answer.error) throw HoldfastError.fromDetail(answer.error);
  const slot = answer.slots?.[0];
  if (!slot || slot.sequence !== asked.sequence) return { resolve: { known: false } };
  if (slot.underWay) return { resolve: { known: true, underWay: true } };
  const result = v1.CommandResult.decode(slot.result ?? new Uint8Array(0));
  return { resolve: { known: true, response: responseOf(result) } };
}

/** A stored result in the form in which the client would have got it. */
function responseOf(result: v1.ICommandResult): v1.IFileResponse {
  if (result.error) return { error: result.error };
  if (result.open?.handle) return { open: openReply(result.open.handle, result.open, null) };
  if (result.lock) return { lock: { held: result.lock.held ?? [] } };
  if (result.close) return { close: closeReply(result.close) };
  const effect = result.effect;
  if (effect?.outcome && effect.outcome.length > 0) return v1.FileResponse.decode(effect.outcome);
  if (effect?.effect) return effectReply(effect.effect);
  return { done: {} };
}

function closeReply(close: v1.ICloseResult): v1.ICloseReply {
  const stored = close.closeResult;
  return { info: stored && stored.length > 0 ? v1.FileInfo.decode(stored) : null };
}
