import { LargeMap } from "./large-map.js";

/** Splits a path at its last "/": the directory, empty for the root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** True when `path` lies below `directory`. Everything but the root itself lies below the root. */
export function isBelow(path: string, directory: string): boolean {
  if (directory === "") return path !== "";
  return path.length > directory.length && path.startsWith(directory) && path[directory.length] === "/";
}

interface ShareEntry<T> {
  readonly at: LargeMap<T | T[]>;
  /** How many rows lie below a directory: "is anything open below?" without a scan. */
  readonly below: LargeMap<number>;
}

/**
 * Rows by share and path, with the number of rows below each directory. Rows at one path keep the order in which they
 * came; after a load that order may differ, so whoever depends on it sorts.
 */
export class PathIndex<T> {
  readonly #shares = new Map<string, ShareEntry<T>>();

  add(share: string, path: string, row: T): void {
    let entry = this.#shares.get(share);
    if (entry === undefined) this.#shares.set(share, (entry = { at: new LargeMap(), below: new LargeMap() }));
    const map = entry.at.at(path);
    const there = map.get(path);
    if (there === undefined) map.set(path, row);
    else if (Array.isArray(there)) there.push(row);
    else map.set(path, [there, row]);
    this.#count(entry, path, 1);
  }

  remove(share: string, path: string, row: T): void {
    const entry = this.#shares.get(share);
    if (entry === undefined) return;
    const there = entry.at.get(path);
    if (Array.isArray(there)) {
      const at = there.indexOf(row);
      if (at < 0) return;
      there.splice(at, 1);
      if (there.length === 1) entry.at.set(path, there[0] as T);
    } else if (there === row) {
      entry.at.delete(path);
    } else {
      return;
    }
    this.#count(entry, path, -1);
    if (entry.at.size === 0) this.#shares.delete(share);
  }

  at(share: string, path: string): readonly T[] {
    const there = this.#shares.get(share)?.at.get(path);
    if (there === undefined) return [];
    return Array.isArray(there) ? there : [there];
  }

  /** How many rows lie below this directory. */
  countBelow(share: string, directory: string): number {
    return this.#shares.get(share)?.below.get(directory) ?? 0;
  }

  /** The rows below a directory. Scans the share, but only when there are any. */
  below(share: string, directory: string): T[] {
    const rows: T[] = [];
    const entry = this.#shares.get(share);
    if (entry === undefined || !entry.below.get(directory)) return rows;
    for (const [path, there] of entry.at.entries()) {
      if (!isBelow(path, directory)) continue;
      if (Array.isArray(there)) rows.push(...there);
      else rows.push(there);
    }
    return rows;
  }

  #count(entry: ShareEntry<T>, path: string, by: number): void {
    let directory = path;
    while (directory !== "") {
      directory = parentOf(directory);
      const next = (entry.below.get(directory) ?? 0) + by;
      if (next === 0) entry.below.delete(directory);
      else entry.below.set(directory, next);
    }
  }
}
