import { createHash } from "node:crypto";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
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
  /** Of a call by path: the client's lease of the directory, which does not end by it. */
  readonly parentKey?: Uint8Array | null;
  /** Waited for between announcement and effect. */
  readonly beforePerform?: () => Promise<void>;
  /** What this node had applied before it looked at the names; zero: names do not matter. */
  readonly seenRevision?: number;
}

/**
 * Announces an effect, performs it, records its outcome with the reply, and answers it; a repeat gets the recorded reply
 * (semantics.md C4). `look` makes the wish; it is asked again when names have changed since it looked.
 */
export async function effectCall(
  core: NodeCore,
  call: Call,
  look: (seenRevision: number) => Promise<EffectWish>,
): Promise<Reply> {
  for (let tries = 1; ; tries++) {
    try {
      return await effectOnce(core, call, await look(core.revision));
    } catch (error) {
      if (!overtaken(error) || tries >= core.limits.observationTriesMax) throw error;
      // Its outcome is on record: what the next look finds is its own work, and only the state can tell that.
      if (error.code === ErrorCode.NO_CHANGE) call.replay = true;
    }
  }
}

/**
 * True for the state's answer to an observation that a change of names has overtaken, and to an outcome that somebody
 * else has recorded first: in both cases the same call, asked again, gets what is right now.
 */
export function overtaken(error: unknown): error is HoldfastError {
  return (
    error instanceof HoldfastError &&
    (error.code === ErrorCode.NOT_READY || error.code === ErrorCode.NO_CHANGE)
  );
}

async function effectOnce(core: NodeCore, call: Call, wish: EffectWish): Promise<Reply> {
  const result = await settle(core, call, {
    beginEffect: {
      fence: call.session.fence(),
      request: call.request,
      channelSequence: call.channelSequence,
      effect: effectRecord(call, wish),
    },
  });
  const effect = result.effect ?? {};
  if (effect.status === v1.EffectResult.Status.PERFORM && effect.effect) {
    await wish.beforePerform?.();
    const finished = await core.perform(effect.effect, call.session, wish.data);
    noteHandle(wish, finished.effect?.handle);
    return storedReply(finished.effect?.outcome) ?? effectReply(effect.effect);
  }
  noteHandle(wish, effect.handle);
  return storedReply(effect.outcome) ?? (effect.effect ? effectReply(effect.effect) : { done: {} });
}

function storedReply(outcome: Uint8Array | null | undefined): Reply | null {
  return outcome && outcome.length > 0 ? v1.FileResponse.decode(outcome) : null;
}

// The outcome may have changed what the handle stands for: its path after a rename.
function noteHandle(wish: EffectWish, record: v1.IHandleRecord | null | undefined): void {
  if (record && wish.handle && record.volatileId === wish.handle.record.volatileId)
    wish.handle.record = record;
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
    parentKey: wish.parentKey ?? null,
    begunRevision: wish.seenRevision ?? 0,
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
