import {
  Entry,
  EntryKind,
  type ConfState,
  type HardState,
  type PersistBatch,
  type SnapshotMeta,
} from "../../src/raft/index.js";
import { Prng, memoryMeter, realClock, realScheduler, type KvStore } from "../../src/runtime/index.js";
import { NodeStorage, type StorageWorld } from "../../src/storage/index.js";

export function world(): StorageWorld & { meter: ReturnType<typeof memoryMeter> } {
  return { clock: realClock, scheduler: realScheduler, random: Prng.fromSeed(1), meter: memoryMeter() };
}

export function conf(...voters: number[]): ConfState {
  return { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
}

export const WHO = { clusterId: "c1", name: "n1", raftId: 1, incarnation: 1 };

/** A storage ready for use on `kv`, initialised if the disk is empty. */
export async function opened(kv: KvStore) {
  const storage = await NodeStorage.open(kv, world());
  if (storage.identity === null) await storage.initialise(WHO, conf(1, 2, 3));
  const durable = await storage.loadDurable();
  return { storage, durable };
}

export function entry(index: number, term = 1, data = `entry ${index} of term ${term}`): Entry {
  return new Entry(term, index, EntryKind.Normal, Buffer.from(data));
}

/** A persist batch; what is not said is empty. */
export function batch(
  seq: number,
  parts: { hardState?: HardState; entries?: readonly Entry[]; snapshot?: SnapshotMeta; mustSync?: boolean },
): PersistBatch {
  return {
    seq,
    hardState: parts.hardState ?? null,
    entries: parts.entries ?? [],
    snapshot: parts.snapshot ?? null,
    mustSync: parts.mustSync ?? true,
    after: [],
  };
}

/** A callback-taking call as a promise. */
export function settled(call: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => call((error) => (error === null ? resolve() : reject(error))));
}

/** All state records as text. */
export async function stateOf(storage: NodeStorage): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const records of storage.stateRecords())
    for (const { key, value } of records) found[Buffer.from(key).toString()] = Buffer.from(value).toString();
  return found;
}

export function change(key: string, value: string | null) {
  return { key: Buffer.from(key), value: value === null ? null : Buffer.from(value) };
}
