import { createHash } from "node:crypto";
import { v1 } from "../../wire/index.js";
import type { NodeCore } from "../core.js";
import { effectReply } from "../effects/reply.js";
import type { OpenHandle } from "../sessions.js";
import { type Call, type Reply, settle } from "./call.js";

/** What a call wants to do outside the state. */
export interface EffectWish {
  readonly kind: v1.EffectKind;
  readonly handle?: OpenHandle;
  readonly share: string;
  readonly path: string;
  readonly targetPath?: string;
  readonly fileId?: string;
  readonly targetFileId?: string;
  readonly sizeBefore?: number;
  readonly offset?: number;
  readonly length?: number;
  readonly data?: Uint8Array;
  readonly dataDigest?: Uint8Array;
  readonly replace?: boolean;
  readonly directory?: boolean;
  readonly description?: Uint8Array;
}

/**
 * Announces an effect, performs it, records its outcome with the reply, and answers it; a repeat gets the recorded reply
 * (semantics.md C4).
 */
export async function effectCall(core: NodeCore, call: Call, wish: EffectWish): Promise<Reply> {
  const result = await settle(core, call, {
    beginEffect: {
      fence: call.session.fence(),
      request: call.request,
      channelSequence: call.channelSequence,
      effect: effectRecord(call, wish),
    },
  });
  let effect = result.effect ?? {};
  if (effect.status === v1.EffectResult.Status.PERFORM && effect.effect) {
    const announced = effect.effect;
    const finished = await core.perform(announced, call.session, wish.data);
    effect = finished.effect ?? {};
    if (effect.handle && wish.handle) wish.handle.record = effect.handle;
    return effectReply(announced);
  }
  if (effect.handle && wish.handle) wish.handle.record = effect.handle;
  const stored = effect.outcome;
  if (stored && stored.length > 0) return v1.FileResponse.decode(stored);
  return effect.effect ? effectReply(effect.effect) : { done: {} };
}

function effectRecord(call: Call, wish: EffectWish): v1.IEffectRecord {
  return {
    kind: wish.kind,
    sessionId: call.session.id,
    handleId: wish.handle?.record.id ?? null,
    share: wish.share,
    path: wish.path,
    targetPath: wish.targetPath ?? "",
    fileId: wish.fileId ?? "",
    targetFileId: wish.targetFileId ?? "",
    sizeBefore: wish.sizeBefore ?? 0,
    offset: wish.offset ?? 0,
    length: wish.length ?? 0,
    dataDigest: wish.dataDigest ?? null,
    replace: wish.replace ?? false,
    directory: wish.directory ?? false,
    description: wish.description ?? null,
    requestDigest: requestDigest(wish),
  };
}

/** Of what the client asked, not of what the node saw: a repeat may find another world and must still be the same call. */
function requestDigest(wish: EffectWish): Uint8Array {
  const hash = createHash("sha256");
  const part = (value: string | Uint8Array) => hash.update(`${value.length}:`).update(value);
  part(String(wish.kind));
  part(wish.handle?.key ?? "");
  if (wish.handle === undefined) part(wish.path);
  part(wish.share);
  part(wish.targetPath ?? "");
  part(String(wish.kind === v1.EffectKind.EFFECT_TRUNCATE ? wish.length : 0));
  part(wish.dataDigest ?? "");
  part(`${wish.replace ?? false}`);
  part(wish.description ?? "");
  return hash.digest().subarray(0, 16);
}
