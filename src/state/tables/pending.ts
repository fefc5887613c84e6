import { addTo, listOf, removeFrom } from "./handles.js";
import { parentOf, PathIndex } from "./path-index.js";
import { fileKey } from "./leases.js";
import type { PendingRow } from "./records.js";

/** Parked calls, findable by the file that they wait at, by session and by the node whose answer a lock waits for. */
export class PendingTable {
  readonly byId = new Map<number, PendingRow>();
  readonly paths = new PathIndex<PendingRow>();
  readonly #files = new Map<string, PendingRow | PendingRow[]>();
  readonly #sessions = new Map<string, PendingRow | PendingRow[]>();

  add(row: PendingRow): void {
    const r = row.r;
    this.byId.set(r.id, row);
    this.paths.add(r.share, r.path, row);
    if (r.targetPath !== "") this.paths.add(r.share, r.targetPath, row);
    if (r.fileId !== "") addTo(this.#files, fileKey(r.share, r.fileId), row);
    addTo(this.#sessions, String(r.sessionId), row);
  }

  remove(row: PendingRow): void {
    const r = row.r;
    this.byId.delete(r.id);
    this.paths.remove(r.share, r.path, row);
    if (r.targetPath !== "") this.paths.remove(r.share, r.targetPath, row);
    if (r.fileId !== "") removeFrom(this.#files, fileKey(r.share, r.fileId), row);
    removeFrom(this.#sessions, String(r.sessionId), row);
  }

  /** A call waits at another file of the same name. */
  refile(row: PendingRow, fileId: string): void {
    removeFrom(this.#files, fileKey(row.r.share, row.r.fileId), row);
    row.r.fileId = fileId;
    addTo(this.#files, fileKey(row.r.share, fileId), row);
  }

  ofSession(id: number): PendingRow[] {
    return [...listOf(this.#sessions.get(String(id)))].sort(byId);
  }

  ofFile(share: string, fileId: string): readonly PendingRow[] {
    return fileId === "" ? [] : listOf(this.#files.get(fileKey(share, fileId)));
  }

  /** Calls that a change at this path may let go: at it, below it, or at a directory above it. */
  near(share: string, path: string): PendingRow[] {
    const rows = [...this.paths.at(share, path), ...this.paths.below(share, path)];
    for (let up = path; up !== ""; ) {
      up = parentOf(up);
      rows.push(...this.paths.at(share, up));
    }
    return rows;
  }
}

/** Order of parking. */
export function byId(a: PendingRow, b: PendingRow): number {
  return a.r.id - b.r.id;
}
