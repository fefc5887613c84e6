import { limits } from "../../wire/limits.js";
import { NameChangeRow, nameChangeRecord } from "../tables/records.js";
import type { Tx } from "../tx.js";

/** Remembers that what stands at this path changed, so that who looked before has to look again. */
export function noteNameChange(tx: Tx, share: string, path: string, below: boolean): void {
  const { store } = tx;
  const number = store.cluster.r.nextNameChange;
  store.cluster.r.nextNameChange = number + 1;
  const row = new NameChangeRow(nameChangeRecord({ number, share, path, revision: tx.revision, below }));
  store.names.add(row);
  store.touch(row);
  while (store.names.byNumber.size > limits.nameChangesKeptMax) {
    const oldest = store.names.oldest();
    if (oldest === undefined) return;
    store.cluster.r.nameChangeFloor = oldest.r.revision;
    store.names.remove(oldest);
    store.drop(oldest);
  }
}

/** True when the name may have changed after an observation at this revision. */
export function changedSince(tx: Tx, share: string, path: string, revision: number): boolean {
  if (revision < tx.store.cluster.r.nameChangeFloor) return true;
  return tx.store.names.latestAt(share, path) > revision;
}

/** Stands in the ring for the end of a file that a plain write may have moved. */
export function writeMark(fileId: string): string {
  return `\0written:${fileId}`;
}

/** Stands in the ring of name changes for the end of a file that an append has moved. No path holds a NUL. */
export function appendMark(fileId: string): string {
  return `\0end-of-file:${fileId}`;
}
