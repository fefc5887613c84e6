import { v1 } from "../../wire/index.js";

/** How far an unresolved effect keeps others from its names. */
export interface EffectReach {
  /** It changes a name: opens of the name, and effects on it, wait. */
  readonly name: boolean;
  /** It changes data: other changes of data of the same file wait; plain opens do not. */
  readonly data: boolean;
}

const NAME: EffectReach = { name: true, data: true };
const DATA: EffectReach = { name: false, data: true };
const NOTHING: EffectReach = { name: false, data: false };

/** Reach of each kind of effect. A missing kind does not compile. */
const REACH: Record<v1.EffectKind, EffectReach> = {
  [v1.EffectKind.EFFECT_KIND_UNSPECIFIED]: NOTHING,
  [v1.EffectKind.EFFECT_CREATE]: NAME,
  [v1.EffectKind.EFFECT_OVERWRITE]: NAME,
  [v1.EffectKind.EFFECT_SUPERSEDE]: NAME,
  [v1.EffectKind.EFFECT_DELETE]: NAME,
  [v1.EffectKind.EFFECT_RENAME]: NAME,
  [v1.EffectKind.EFFECT_LINK]: NAME,
  [v1.EffectKind.EFFECT_TRUNCATE]: DATA,
  [v1.EffectKind.EFFECT_APPEND]: DATA,
  [v1.EffectKind.EFFECT_MKDIR]: NAME,
  [v1.EffectKind.EFFECT_SET_ATTRIBUTES]: DATA,
  [v1.EffectKind.EFFECT_FENCE]: NAME,
  [v1.EffectKind.EFFECT_FOREIGN]: NOTHING,
};

/** Reach of an effect. */
export function effectReach(kind: v1.EffectKind): EffectReach {
  return REACH[kind] ?? NOTHING;
}

/** True when two unresolved effects of these kinds on one file or name have to follow each other. */
export function effectsConflict(a: v1.EffectKind, b: v1.EffectKind): boolean {
  const first = effectReach(a);
  const second = effectReach(b);
  return (
    (first.name && (second.name || second.data)) || (second.name && first.data) || (first.data && second.data)
  );
}
