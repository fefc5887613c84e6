import { ErrorCode } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { idOf } from "../ids.js";
import { addEffect } from "../mechanics/effect-rows.js";
import { attemptEffect, effectOf } from "../mechanics/effects.js";
import { checkFence, checkHandleFence, unknownHandle } from "../mechanics/fence.js";
import { effectIdentity } from "../mechanics/identity.js";
import { keyFence } from "../mechanics/key-fence.js";
import { onceOnly } from "../mechanics/reply-cache.js";
import { advanceSequence, markUsed } from "../mechanics/using.js";
import type { HandleRow } from "../tables/handles.js";
import { SessionRow } from "../tables/sessions.js";
import { fail, failed, type Tx } from "../tx.js";
import {
  bytesProblem,
  firstProblem,
  optionalGuidProblem,
  pathProblem,
  type Problem,
  shareProblem,
} from "../validate.js";

/** Announces an effect outside the state, so that whoever owns it after a crash knows what to look for (semantics.md C4). */
export function beginEffect(tx: Tx, command: v1.IBeginEffect): v1.ICommandResult {
  const given = command.effect ?? {};
  if (given.kind === v1.EffectKind.EFFECT_FOREIGN) return beginForeign(tx, command);
  if (v1.EffectKind[given.kind ?? 0] === undefined)
    return fail(ErrorCode.INVALID_ARGUMENT, `effect kind ${given.kind} is unknown`);
  const id = idOf(given.handleId);
  let session: SessionRow;
  let handle: HandleRow | null = null;
  if (id !== "") {
    const found = checkHandleFence(tx, command.fence, id);
    if (!("handle" in found)) return failed(found);
    ({ session, handle } = found);
  } else {
    // A new owner fences before it says that it has taken over.
    const whileTakenOver = given.kind === v1.EffectKind.EFFECT_FENCE;
    const owner = checkFence(tx, command.fence, { whileTakenOver });
    if (!(owner instanceof SessionRow)) return failed(owner);
    session = owner;
  }
  return onceOnly(
    tx,
    session,
    command.request,
    () => effectIdentity(command),
    (digest) => {
      const problem = effectProblem(tx, session, handle, command);
      if (problem !== null) return problem;
      const effect = effectOf(tx, session, handle, command, digest);
      return attemptEffect(tx, { session, command, effect, handle, digest, parked: null });
    },
  );
}

function effectProblem(
  tx: Tx,
  session: SessionRow,
  handle: HandleRow | null,
  command: v1.IBeginEffect,
): Problem {
  const given = command.effect ?? {};
  if (handle !== null) {
    if (!handle.isOpen || !handle.isConnected) return failed(unknownHandle(session, handle.id));
    if (advanceSequence(tx, handle, command.channelSequence ?? 0) === "stale")
      return fail(ErrorCode.FILE_NOT_AVAILABLE, "the channel sequence is older than the handle's");
    markUsed(tx, handle);
    return pathProblem("target path", given.targetPath);
  }
  if (!given.path) return fail(ErrorCode.INVALID_ARGUMENT, "the effect names neither a handle nor a path");
  return firstProblem(
    shareProblem(tx.store.share(given.share ?? ""), given.share),
    pathProblem("path", given.path),
    pathProblem("target path", given.targetPath),
    optionalGuidProblem("parent lease key", given.parentKey),
  );
}

/** Of a file server that is not ours: under a resume key, opaque here; handed over with the key. */
function beginForeign(tx: Tx, command: v1.IBeginEffect): v1.ICommandResult {
  const given = command.effect ?? {};
  const fence = command.fence ?? {};
  const key = keyFence(tx, given.key ?? "", fence.node ?? "", fence.nodeIncarnation ?? 0, fence.epoch ?? 0);
  if ("error" in key) return key;
  const problem = bytesProblem("description", given.description, limits.keyStateBytesMax);
  if (problem !== null) return problem;
  const request = command.request;
  for (const effect of request?.sequence ? tx.store.effects.ofKey(key.row.key) : []) {
    const begun = effect.r.request;
    // Slot zero is left out of what is stored, as the wire leaves it out.
    if ((begun?.slot ?? 0) === (request?.slot ?? 0) && begun?.sequence === request?.sequence)
      return { effect: { status: v1.EffectResult.Status.PERFORM, effect: { ...effect.r } }, repeated: true };
  }
  if (tx.store.effects.ofKey(key.row.key).length >= limits.slotsPerSession)
    return fail(
      ErrorCode.LIMIT_EXCEEDED,
      `a key has at most ${limits.slotsPerSession} effects without an outcome`,
    );
  const effect = addEffect(tx, {
    kind: v1.EffectKind.EFFECT_FOREIGN,
    owner: key.row.owner,
    ownerIncarnation: key.row.ownerIncarnation,
    key: key.row.key,
    description: given.description ?? null,
    request: request ? { ...request } : null,
  });
  return { effect: { status: v1.EffectResult.Status.PERFORM, effect: { ...effect.r } } };
}
