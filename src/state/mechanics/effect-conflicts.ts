import type { v1 } from "../../wire/index.js";
import { effectReach, effectsConflict } from "../rules/effect-conflict.js";
import { overwrites } from "../rules/disposition.js";
import type { EffectRow } from "../tables/records.js";
import type { Tx } from "../tx.js";

/**
 * The unresolved effect that an open has to wait for. What its outcome will be only its owner can find out, so nobody is
 * let at the name before (semantics.md C4).
 */
export function effectBeforeOpen(tx: Tx, command: v1.IOpenHandle): EffectRow | null {
  const { effects } = tx.store;
  if (effects.byId.size === 0) return null;
  const share = command.share ?? "";
  for (const effect of effects.atOrAbove(share, command.path ?? "")) {
    if (effectReach(effect.r.kind).name) return effect;
  }
  const fileId = command.observed?.fileId ?? "";
  if (fileId === "" || !overwrites(command.disposition ?? 0)) return null;
  for (const effect of effects.ofFile(share, fileId)) if (effectReach(effect.r.kind).data) return effect;
  return null;
}

/** The unresolved effect that another one has to wait for: at, above or below one of its names, or on the same file. */
export function effectBefore(tx: Tx, next: v1.IEffectRecord): EffectRow | null {
  const { effects } = tx.store;
  if (effects.byId.size === 0) return null;
  const kind = next.kind ?? 0;
  const share = next.share ?? "";
  for (const path of namesOf(next)) {
    for (const effect of effects.atOrAbove(share, path)) {
      if (effectsConflict(effect.r.kind, kind)) return effect;
    }
    if (!next.directory) continue;
    for (const effect of effects.below(share, path)) if (effectReach(effect.r.kind).name) return effect;
  }
  if (!next.fileId) return null;
  for (const effect of effects.ofFile(share, next.fileId)) {
    if (effectsConflict(effect.r.kind, kind)) return effect;
  }
  return null;
}

function namesOf(effect: v1.IEffectRecord): string[] {
  return effect.targetPath ? [effect.path ?? "", effect.targetPath] : [effect.path ?? ""];
}

/** For people. */
export function effectText(effect: EffectRow): string {
  return `effect ${effect.r.id} on ${effect.r.share}:${effect.r.path} at ${effect.r.owner}`;
}
