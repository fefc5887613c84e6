import { CompactMap } from "./compact-map.js";

/** Up to here one map does: it is made anew in a millisecond or two. */
const WHOLE_MAX = 8192;
const SHARDS = 256;

/** What both forms of a small map have in common. */
export interface SmallMap<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): unknown;
  delete(key: string): boolean;
}

/**
 * A map that may grow to millions of entries without ever holding the caller. The engine's own map is made anew, whole,
 * each time it has doubled, and each time that deletions have used up its room: 150 to 300 ms with a million entries, in
 * which nobody is answered. Here the entries are spread over many small maps as soon as they are more than a few thousand, and
 * these are of a kind that is quicker to fill than the engine's.
 *
 * Entries come out in no order to rely on; the same on every member that was given the same keys in the same order.
 */
export class LargeMap<V> {
  private whole: Map<string, V> | null = new Map();
  private shards: CompactMap<V>[] = [];

  get size(): number {
    if (this.whole !== null) return this.whole.size;
    let size = 0;
    for (const shard of this.shards) size += shard.size;
    return size;
  }

  /** The small map in which this key is or would be: for several steps with one key. Not to be kept. */
  at(key: string): SmallMap<V> {
    const { whole } = this;
    if (whole === null) return this.shards[shardOf(key)] as CompactMap<V>;
    if (whole.size < WHOLE_MAX) return whole;
    this.split(whole);
    return this.shards[shardOf(key)] as CompactMap<V>;
  }

  get(key: string): V | undefined {
    return this.at(key).get(key);
  }

  has(key: string): boolean {
    return this.whole === null ? (this.shards[shardOf(key)] as CompactMap<V>).has(key) : this.whole.has(key);
  }

  set(key: string, value: V): void {
    this.at(key).set(key, value);
  }

  delete(key: string): boolean {
    return this.at(key).delete(key);
  }

  *entries(): Generator<[key: string, value: V], void> {
    if (this.whole !== null) yield* this.whole;
    else for (const shard of this.shards) yield* shard;
  }

  *values(): Generator<V, void> {
    if (this.whole !== null) yield* this.whole.values();
    else for (const shard of this.shards) yield* shard.values();
  }

  /** Once in its life: a map that has been large stays spread. */
  private split(whole: Map<string, V>): void {
    this.whole = null;
    this.shards = Array.from({ length: SHARDS }, () => new CompactMap<V>());
    for (const [key, value] of whole) (this.shards[shardOf(key)] as CompactMap<V>).set(key, value);
  }
}

/**
 * From eight of the key's characters: all of them would cost more than the look-up. Keys that agree in these eight share a
 * map, which is slower and nothing worse.
 */
function shardOf(key: string): number {
  const { length } = key;
  let h = length;
  for (let i = length > 4 ? length - 4 : 0; i < length; i++) h = Math.imul(h, 31) + key.charCodeAt(i);
  const stride = length >> 2;
  for (let i = 0; i < length - 4; i += stride) h = Math.imul(h, 31) + key.charCodeAt(i);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return (h ^ (h >>> 13)) & (SHARDS - 1);
}
