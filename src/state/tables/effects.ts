import type { Id } from "../ids.js";
import { idOf } from "../ids.js";
import { addTo, listOf, removeFrom } from "./handles.js";
import { parentOf, PathIndex } from "./path-index.js";
import type { EffectRow } from "./records.js";
import { fileKey } from "./leases.js";

/** Announced effects without an outcome, findable by path (source and target), file, owner, session and handle. */
export class EffectTable {
  readonly byId = new Map<number, EffectRow>();
  readonly #paths = new PathIndex<EffectRow>();
  readonly #files = new Map<string, EffectRow | EffectRow[]>();
  readonly #owners = new Map<string, Set<EffectRow>>();
  readonly #sessions = new Map<number, Set<EffectRow>>();
  readonly #keys = new Map<string, Set<EffectRow>>();
  readonly #handles = new Map<Id, EffectRow | EffectRow[]>();

  add(row: EffectRow): void {
    const r = row.r;
    this.byId.set(r.id, row);
    if (r.path !== "" || r.share !== "") this.#paths.add(r.share, r.path, row);
    if (r.targetPath !== "") this.#paths.add(r.share, r.targetPath, row);
    if (r.fileId !== "") addTo(this.#files, fileKey(r.share, r.fileId), row);
    addToSet(this.#owners, r.owner, row);
    if (r.sessionId !== 0) addToSet(this.#sessions, r.sessionId, row);
    if (r.handleId.length > 0) addTo(this.#handles, idOf(r.handleId), row);
    if (r.key !== "") addToSet(this.#keys, r.key, row);
  }

  remove(row: EffectRow): void {
    const r = row.r;
    this.byId.delete(r.id);
    if (r.path !== "" || r.share !== "") this.#paths.remove(r.share, r.path, row);
    if (r.targetPath !== "") this.#paths.remove(r.share, r.targetPath, row);
    if (r.fileId !== "") removeFrom(this.#files, fileKey(r.share, r.fileId), row);
    removeFromSet(this.#owners, r.owner, row);
    if (r.sessionId !== 0) removeFromSet(this.#sessions, r.sessionId, row);
    if (r.handleId.length > 0) removeFrom(this.#handles, idOf(r.handleId), row);
    if (r.key !== "") removeFromSet(this.#keys, r.key, row);
  }

  setOwner(row: EffectRow, node: string, incarnation: number): void {
    removeFromSet(this.#owners, row.r.owner, row);
    row.r.owner = node;
    row.r.ownerIncarnation = incarnation;
    addToSet(this.#owners, node, row);
  }

  ofOwner(node: string): EffectRow[] {
    return sorted(this.#owners.get(node));
  }

  ofSession(id: number): EffectRow[] {
    return sorted(this.#sessions.get(id));
  }

  sessionHasAny(id: number): boolean {
    return this.#sessions.has(id);
  }

  ofHandle(id: Id): readonly EffectRow[] {
    return listOf(this.#handles.get(id));
  }

  /** Effects of a file server under a resume key. */
  ofKey(key: string): EffectRow[] {
    return sorted(this.#keys.get(key));
  }

  ofFile(share: string, fileId: string): readonly EffectRow[] {
    return listOf(this.#files.get(fileKey(share, fileId)));
  }

  /** Effects at the path itself or at one of the directories above it. */
  atOrAbove(share: string, path: string): EffectRow[] {
    const rows = [...this.#paths.at(share, path)];
    for (let up = path; up !== ""; ) {
      up = parentOf(up);
      if (up !== "") rows.push(...this.#paths.at(share, up).filter((row) => row.r.directory));
    }
    return rows;
  }

  below(share: string, path: string): EffectRow[] {
    return this.#paths.below(share, path);
  }
}

function addToSet<K>(index: Map<K, Set<EffectRow>>, key: K, row: EffectRow): void {
  let set = index.get(key);
  if (set === undefined) index.set(key, (set = new Set()));
  set.add(row);
}

function removeFromSet<K>(index: Map<K, Set<EffectRow>>, key: K, row: EffectRow): void {
  const set = index.get(key);
  set?.delete(row);
  if (set?.size === 0) index.delete(key);
}

function sorted(set: Set<EffectRow> | undefined): EffectRow[] {
  return set === undefined ? [] : [...set].sort((a, b) => a.r.id - b.r.id);
}
