import { isBelow, parentOf, PathIndex } from "./path-index.js";
import type { NameChangeRow } from "./records.js";

/** The latest name changes, so that an observation made before one of them is refused. */
export class NameTable {
  readonly byNumber = new Map<number, NameChangeRow>();
  readonly #paths = new PathIndex<NameChangeRow>();

  add(row: NameChangeRow): void {
    this.byNumber.set(row.r.number, row);
    this.#paths.add(row.r.share, row.r.path, row);
  }

  remove(row: NameChangeRow): void {
    this.byNumber.delete(row.r.number);
    this.#paths.remove(row.r.share, row.r.path, row);
  }

  oldest(): NameChangeRow | undefined {
    for (const row of this.byNumber.values()) return row;
    return undefined;
  }

  /** Revision of the latest change that touched what stands at this path; zero when none is known. */
  latestAt(share: string, path: string): number {
    let latest = 0;
    for (const row of this.#paths.at(share, path)) latest = Math.max(latest, row.r.revision);
    for (let up = path; up !== ""; ) {
      up = parentOf(up);
      for (const row of this.#paths.at(share, up)) {
        if (row.r.below && isBelow(path, row.r.path)) latest = Math.max(latest, row.r.revision);
      }
    }
    return latest;
  }
}
