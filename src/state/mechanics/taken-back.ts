import { v1 } from "../../wire/index.js";
import type { EffectRow } from "../tables/records.js";
import type { SessionRow, SlotRow } from "../tables/sessions.js";
import type { Tx } from "../tx.js";
import { appendMark, changedSince } from "./names.js";

/** More attempts of one append than this are not told apart: each needs a takeover in the middle of it. */
const ATTEMPTS_KEPT = 4;

function slotOf(session: SessionRow | undefined, request: v1.IRequestId | null | undefined): SlotRow | null {
  const sequence = request?.sequence ?? 0;
  if (session === undefined || session.gone || sequence === 0) return null;
  const slot = session.slots?.get(request?.slot ?? 0);
  return slot?.sequence === sequence ? slot : null;
}

/**
 * An append was taken back, and its request may be sent again. Storage may still carry out what the former owner had
 * handed to it: its place is remembered under the request, for the repeat to look there before it writes once more.
 */
export function noteTakenBack(tx: Tx, session: SessionRow | undefined, effect: EffectRow): void {
  if (effect.r.kind !== v1.EffectKind.EFFECT_APPEND) return;
  const slot = slotOf(session, effect.r.request);
  if (slot === null) return;
  const earlier = slot.takenBack.filter((offset) => offset !== effect.r.offset);
  slot.takenBack = [...earlier, effect.r.offset].slice(-ATTEMPTS_KEPT);
  slot.takenBackRevision = tx.revision;
  tx.store.touch(slot);
}

/**
 * Where the data of an append may stand already. Nowhere that anybody knows of once another append has its outcome: what
 * stands there then may be that one's, with the same bytes.
 */
export function earlierOffsets(tx: Tx, session: SessionRow, effect: v1.IEffectRecord): number[] {
  if (effect.kind !== v1.EffectKind.EFFECT_APPEND) return [];
  const slot = slotOf(session, effect.request);
  if (slot === null || slot.takenBack.length === 0) return [];
  const mark = appendMark(effect.fileId ?? "");
  return changedSince(tx, effect.share ?? "", mark, slot.takenBackRevision) ? [] : [...slot.takenBack];
}
