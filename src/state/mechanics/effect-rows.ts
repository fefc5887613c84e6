import type { v1 } from "../../wire/index.js";
import { EffectRow, effectRecord } from "../tables/records.js";
import type { Tx } from "../tx.js";

/** Announces an effect. */
export function addEffect(tx: Tx, record: v1.IEffectRecord): EffectRow {
  const row = new EffectRow(
    effectRecord({ ...record, id: tx.store.nextEffectId(), begunRevision: tx.revision }),
  );
  tx.store.effects.add(row);
  tx.store.touch(row);
  return row;
}

/** Its outcome is known, or nobody needs it any more. */
export function dropEffect(tx: Tx, effect: EffectRow): void {
  tx.store.effects.remove(effect);
  tx.store.drop(effect);
  tx.wake(effect.r.share, effect.r.path, effect.r.fileId);
  if (effect.r.targetPath !== "") tx.wake(effect.r.share, effect.r.targetPath, effect.r.targetFileId);
}
