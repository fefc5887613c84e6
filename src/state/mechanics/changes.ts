import { type Id, idOf } from "../ids.js";
import type { HandleRow } from "../tables/handles.js";
import type { EffectRow } from "../tables/records.js";
import type { Tx } from "../tx.js";

/** The directory's lease that a handle's own lease names as its client's; empty: none (semantics.md F3). */
export function parentKeyOf(tx: Tx, handle: HandleRow): Id {
  return idOf(tx.store.leases.of(handle)?.r.parentKey);
}

/** The file of a handle was changed through it. */
export function noteChanged(tx: Tx, handle: HandleRow): void {
  const { share, path, client } = handle;
  tx.changed.push({ share, path, client, parentKey: parentKeyOf(tx, handle) });
}

/** An effect has changed what listings of the directory above `path` show. */
export function noteChangedBy(tx: Tx, effect: EffectRow, path: string): void {
  const { share, sessionId, parentKey } = effect.r;
  const client = tx.store.sessions.byId.get(sessionId)?.client ?? "";
  tx.changed.push({ share, path, client, parentKey: idOf(parentKey) });
}
