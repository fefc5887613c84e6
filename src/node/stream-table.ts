import type { Http2Server, Http2Session } from "node:http2";
import { types } from "node:util";

/** A power of two. With a thousand streams open on one connection a search passes eight of them at most on average. */
const BUCKETS = 128;

interface Entry {
  readonly id: number;
  readonly stream: object;
}

/**
 * The open streams of one HTTP/2 connection by their id: the part of a Map that node:http2 uses, without a Map's effect on
 * the collector. A Map whose keys come and go throws its table away again and again, each old table leads to the next,
 * and once a collection of the old generation has made one of them old, it keeps alive all streams that later ones held,
 * until the next such collection: a busy leader's young collections copied every call and took 15 ms instead of 3.
 */
export class StreamTable {
  private readonly buckets: Entry[][] = Array.from({ length: BUCKETS }, () => []);
  private count = 0;

  get size(): number {
    return this.count;
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  get(id: number): object | undefined {
    const bucket = this.bucketOf(id);
    return bucket[placeIn(bucket, id)]?.stream;
  }

  set(id: number, stream: object): this {
    this.delete(id);
    this.bucketOf(id).push({ id, stream });
    this.count++;
    return this;
  }

  delete(id: number): boolean {
    const bucket = this.bucketOf(id);
    const at = placeIn(bucket, id);
    if (at < 0) return false;
    const last = bucket.pop() as Entry;
    if (at < bucket.length) bucket[at] = last;
    this.count--;
    return true;
  }

  /** Each that is open now, though the callback may close it: ending a connection does. */
  forEach(callback: (stream: object, id: number, table: this) => void): void {
    for (const { id, stream } of this.buckets.flat()) callback(stream, id, this);
  }

  private bucketOf(id: number): Entry[] {
    // Those that a client opens are odd.
    return this.buckets[(id >>> 1) & (BUCKETS - 1)] as Entry[];
  }
}

/** -1: it is not there. */
function placeIn(bucket: readonly Entry[], id: number): number {
  for (let i = 0; i < bucket.length; i++) if ((bucket[i] as Entry).id === id) return i;
  return -1;
}

/** The version of Node whose node:http2 was read and tried for this; with others the engine's own Map stays. */
const NODE_MAJOR = "20";

/**
 * Gives all later connections of a server such a table. It stands in a private place of node:http2, for which there is no
 * public one: where that is not as expected, nothing is changed.
 */
export function useStreamTables(server: Http2Server, nodeVersion = process.versions.node): void {
  if (nodeVersion.split(".")[0] !== NODE_MAJOR) return;
  server.prependListener("session", (session) => {
    const state = stateOf(session);
    // Its Map is one without Map's prototype, which instanceof does not know.
    if (state !== undefined && types.isMap(state.streams) && state.streams.size === 0)
      state.streams = new StreamTable();
  });
}

function stateOf(session: Http2Session): { streams?: unknown } | undefined {
  const own = session as unknown as Record<symbol, unknown>;
  const symbol = Object.getOwnPropertySymbols(session).find(({ description }) => description === "state");
  const state = symbol === undefined ? undefined : own[symbol];
  return typeof state === "object" && state !== null ? state : undefined;
}
