import { v1 } from "../../wire/index.js";

/** The reply to the call behind an effect, once it is done; what is recorded as its outcome. */
export function effectReply(effect: v1.IEffectRecord): Omit<v1.IFileResponse, "id"> {
  if (effect.kind !== v1.EffectKind.EFFECT_APPEND) return { done: {} };
  return { write: { written: effect.length ?? 0, offset: effect.offset ?? 0 } };
}
