import type { AckedIndexes } from "../quorum.js";
import type { Index, RaftId } from "../types.js";
import type { Progress } from "./progress.js";

/**
 * Progress of every member of the configuration, in ascending order of id: messages are produced in that order, which
 * makes runs reproducible and comparable with etcd's. A linear search over a handful of ids beats a Map.
 */
export class Tracker implements AckedIndexes {
  readonly ids: RaftId[] = [];
  readonly items: Progress[] = [];

  get size(): number {
    return this.ids.length;
  }

  get(id: RaftId): Progress | undefined {
    const ids = this.ids;
    for (let i = 0; i < ids.length; i++) if (ids[i] === id) return this.items[i];
    return undefined;
  }

  set(id: RaftId, progress: Progress): void {
    let at = 0;
    while (at < this.ids.length && (this.ids[at] as number) < id) at++;
    if (this.ids[at] === id) {
      this.items[at] = progress;
      return;
    }
    this.ids.splice(at, 0, id);
    this.items.splice(at, 0, progress);
  }

  delete(id: RaftId): void {
    const at = this.ids.indexOf(id);
    if (at < 0) return;
    this.ids.splice(at, 1);
    this.items.splice(at, 1);
  }

  ackedIndex(id: RaftId): Index {
    return this.get(id)?.match ?? 0;
  }

  /** An independent copy: changes of membership are prepared on it and dropped when they turn out invalid. */
  clone(): Tracker {
    const copy = new Tracker();
    for (let i = 0; i < this.ids.length; i++) {
      copy.ids.push(this.ids[i] as RaftId);
      copy.items.push((this.items[i] as Progress).clone());
    }
    return copy;
  }
}
