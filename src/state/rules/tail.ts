import { v1 } from "../../wire/index.js";

/** Where a kind of effect may cut its file when it is resolved; null: it never cuts. */
type TailRule = ((effect: v1.IEffectRecord) => number) | null;

/**
 * From where on an effect that is announced needs the file for itself: resolving it may cut there, and a write of another
 * handle that landed behind in the meantime would go with what is cut. A missing kind does not compile.
 */
const TAILS: Record<v1.EffectKind, TailRule> = {
  [v1.EffectKind.EFFECT_KIND_UNSPECIFIED]: null,
  [v1.EffectKind.EFFECT_CREATE]: null,
  [v1.EffectKind.EFFECT_OVERWRITE]: () => 0,
  // Another file takes the name: what is written to the old one goes with it, as with any file that lost its name.
  [v1.EffectKind.EFFECT_SUPERSEDE]: null,
  [v1.EffectKind.EFFECT_DELETE]: null,
  [v1.EffectKind.EFFECT_RENAME]: null,
  [v1.EffectKind.EFFECT_LINK]: null,
  [v1.EffectKind.EFFECT_TRUNCATE]: (effect) => effect.length ?? 0,
  [v1.EffectKind.EFFECT_APPEND]: (effect) => effect.offset ?? 0,
  [v1.EffectKind.EFFECT_MKDIR]: null,
  [v1.EffectKind.EFFECT_SET_ATTRIBUTES]: null,
  [v1.EffectKind.EFFECT_FENCE]: null,
  [v1.EffectKind.EFFECT_FOREIGN]: null,
};

/** Offset from which on the effect closes its file to writes that go beyond it; null: it does not. */
export function tailFrom(effect: v1.IEffectRecord): number | null {
  return TAILS[effect.kind ?? 0]?.(effect) ?? null;
}
