import type { KvStore } from "../runtime/api.js";
import type { DurableState, Entry, HardState } from "../raft/index.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { FORMAT_VERSION, type NodeIdentity, type PeerDisk } from "./identity.js";
import { REBUILD_FROM_PEERS, storageFailed } from "./errors.js";
import {
  ALL,
  LOG_RANGE,
  PEERS_RANGE,
  STATE_RANGE,
  appliedKey,
  generationOf,
  logIndexOf,
  logKey,
  logRange,
  metaKey,
  stateRange,
  type KeyRange,
} from "./keys.js";
import {
  damaged,
  decodeApplied,
  decodeEntry,
  decodeHardState,
  decodeJson,
  decodeLayout,
  type AppliedPosition,
  type Layout,
} from "./records.js";
import type { Receiving } from "./snapshot-receiver.js";

const PAIRS_PER_READ = 2048;
const BYTES_PER_READ = 4 * 1024 * 1024;

/** Everything that a store holds besides state records, checked. */
export interface Recovered {
  readonly identity: NodeIdentity | null;
  readonly fileNodeIncarnation: number;
  readonly layout: Layout;
  readonly hardState: HardState;
  readonly applied: AppliedPosition;
  readonly receiving: Receiving | null;
  readonly peers: Map<number, PeerDisk>;
}

/**
 * Reads the single records of a store and checks that they fit together. An empty store gives a null identity; a
 * store with data but no identity, a record that fails its checksum or contradicts another one is refused with
 * STORAGE_FAILED: guessing would mean voting twice or acknowledging what is lost.
 */
export async function recover(kv: KvStore): Promise<Recovered> {
  const identity = await read(kv, "identity", decodeJson<NodeIdentity>);
  const fileNode = await read(kv, "fileNode", decodeJson<{ incarnation: number }>);
  if (identity === null) {
    await refuseHeadlessData(kv);
    return { ...EMPTY_STORE, fileNodeIncarnation: fileNode?.incarnation ?? 0, peers: new Map() };
  }
  if (identity.formatVersion > FORMAT_VERSION)
    throw new HoldfastError(
      ErrorCode.UNSUPPORTED_VERSION,
      `the data folder has format ${identity.formatVersion}, this program knows formats up to ${FORMAT_VERSION}`,
      { next: "start it with the version that wrote it, or a newer one" },
    );
  const layout = await need(kv, "layout", decodeLayout);
  const hardState = await need(kv, "hardState", decodeHardState);
  const key = appliedKey(layout.generation);
  const position = await kv.get(key);
  if (position === null) throw damaged(key, "the applied position is missing");
  const applied = decodeApplied(key, position);
  if (applied.index < layout.index)
    throw damaged(key, `the state stands at ${applied.index}, but the log begins after ${layout.index}`);
  return {
    identity,
    fileNodeIncarnation: fileNode?.incarnation ?? 0,
    layout,
    hardState,
    applied,
    receiving: await read(kv, "receiving", decodeJson<Receiving>),
    peers: await readPeers(kv),
  };
}

const EMPTY_STORE: Omit<Recovered, "peers" | "fileNodeIncarnation"> = {
  identity: null,
  layout: { generation: 1, index: 0, term: 0 },
  hardState: { term: 0, vote: 0, commit: 0 },
  applied: {
    index: 0,
    term: 0,
    confState: { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
  },
  receiving: null,
};

/** Reads the log behind the layout's boundary. Every entry is checked; a gap or a damaged one is fatal (lesson L22). */
export async function recoverLog(kv: KvStore, recovered: Recovered): Promise<DurableState> {
  const { layout, hardState, applied } = recovered;
  const entries: Entry[] = [];
  const { from, to } = logRange(layout.generation, layout.index + 1);
  const view = kv.iterate(from, to);
  try {
    for (;;) {
      const pairs = await view.next(PAIRS_PER_READ, BYTES_PER_READ);
      if (pairs.length === 0) break;
      for (const [key, value] of pairs) entries.push(checkedEntry(key, value, layout, entries));
    }
  } finally {
    await view.close();
  }
  const lastIndex = layout.index + entries.length;
  if (applied.index > lastIndex)
    throw damaged(
      logKey(layout.generation, lastIndex + 1),
      `the log ends at ${lastIndex}, but the state has applied ${applied.index}`,
    );
  return {
    hardState,
    confState: applied.confState,
    confIndex: applied.confIndex ?? 0,
    snapshotIndex: layout.index,
    snapshotTerm: layout.term,
    entries,
    appliedIndex: applied.index,
  };
}

function checkedEntry(key: Uint8Array, value: Uint8Array, layout: Layout, before: readonly Entry[]): Entry {
  const due = layout.index + before.length + 1;
  const index = logIndexOf(key);
  if (index !== due)
    throw damaged(logKey(layout.generation, due), `the log entry is missing, ${index} follows`);
  const entry = decodeEntry(key, index, value);
  const termBefore = before.at(-1)?.term ?? layout.term;
  if (entry.term < termBefore)
    throw damaged(key, `its term ${entry.term} is below ${termBefore}, that of the entry before it`);
  return entry;
}

/** Generations, other than those in use, of which something is left over: an interrupted receipt or deletion. */
export async function leftovers(
  kv: KvStore,
  inUse: readonly number[],
): Promise<{ readonly ranges: KeyRange[]; readonly highest: number }> {
  const ranges: KeyRange[] = [];
  let highest = Math.max(...inUse);
  for (const [all, rangeOf] of [
    [LOG_RANGE, logRange],
    [STATE_RANGE, stateRange],
  ] as const) {
    for (let from = all.from; ; ) {
      const key = await firstKey(kv, { from, to: all.to });
      if (key === null) break;
      const generation = generationOf(key);
      highest = Math.max(highest, generation);
      const range = rangeOf(generation);
      if (!inUse.includes(generation)) ranges.push(range);
      from = range.to;
    }
  }
  return { ranges, highest };
}

async function firstKey(kv: KvStore, range: KeyRange): Promise<Uint8Array | null> {
  const view = kv.iterate(range.from, range.to);
  try {
    const [first] = await view.next(1, 1);
    return first?.[0] ?? null;
  } finally {
    await view.close();
  }
}

async function refuseHeadlessData(kv: KvStore): Promise<void> {
  const key = await firstKey(kv, ALL);
  if (key !== null && Buffer.compare(key, metaKey("fileNode")) !== 0)
    throw storageFailed("the data folder holds data but no identity", REBUILD_FROM_PEERS);
}

type Decode<T> = (key: Uint8Array, value: Uint8Array) => T;

async function read<T>(
  kv: KvStore,
  name: Parameters<typeof metaKey>[0],
  decode: Decode<T>,
): Promise<T | null> {
  const key = metaKey(name);
  const value = await kv.get(key);
  return value === null ? null : decode(key, value);
}

async function need<T>(kv: KvStore, name: Parameters<typeof metaKey>[0], decode: Decode<T>): Promise<T> {
  const found = await read(kv, name, decode);
  if (found === null)
    throw storageFailed(`the data folder is damaged: its ${name} is missing`, REBUILD_FROM_PEERS);
  return found;
}

async function readPeers(kv: KvStore): Promise<Map<number, PeerDisk>> {
  const peers = new Map<number, PeerDisk>();
  const view = kv.iterate(PEERS_RANGE.from, PEERS_RANGE.to);
  try {
    for (;;) {
      const pairs = await view.next(PAIRS_PER_READ, BYTES_PER_READ);
      if (pairs.length === 0) return peers;
      for (const [key, value] of pairs) {
        const peer = decodeJson<PeerDisk>(key, value);
        peers.set(peer.raftId, peer);
      }
    }
  } finally {
    await view.close();
  }
}
