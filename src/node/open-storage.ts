import { join } from "node:path";
import type { Runtime } from "../runtime/index.js";
import type { KvStore } from "../runtime/api.js";
import { type ExpectedIdentity, FOUNDED_AT, NodeStorage, openRocks } from "../storage/index.js";
import type { NodeConfig } from "./config.js";
import { storageExit } from "./storage-exits.js";

/** The incarnation of a member's first disk; it rises when the member is added again after losing one. */
const FIRST_INCARNATION = 1;

/**
 * Reads what a store says about itself. An empty one becomes this node's: a founder's beside `founders`, or, with null,
 * that of a member which gets everything from the others. Rejects for one that is somebody else's, damaged, or newer.
 */
export async function claimStorage(
  kv: KvStore,
  runtime: Runtime,
  expected: ExpectedIdentity,
  founders: readonly number[] | null,
): Promise<NodeStorage> {
  const storage = await NodeStorage.open(kv, runtime);
  if (storage.identity !== null) {
    storage.checkIdentity(expected);
    return storage;
  }
  const who = { ...expected, incarnation: FIRST_INCARNATION };
  const nobody = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  if (founders === null) await storage.initialise(who, nobody);
  else await storage.initialise(who, { ...nobody, voters: founders }, FOUNDED_AT);
  runtime.log.info({ ...expected, founders }, "empty data folder made this node's");
  return storage;
}

/**
 * Opens the database of a node, and with it takes the lock on the data folder. An empty disk becomes this node's; a
 * disk of another node, of another cluster or of a newer version, and a damaged one, are refused. `makeRoom` is called
 * when a write finds no space.
 */
export async function openNodeStorage(
  config: NodeConfig,
  runtime: Runtime,
  makeRoom: () => Promise<boolean>,
): Promise<NodeStorage> {
  const folder = join(config.data, "db");
  const raftId = config.member?.raftId ?? 0;
  const expected = { clusterId: config.cluster.id, name: config.name, raftId };
  try {
    const kv = await openRocks(folder, { makeRoom });
    const voters = config.cluster.members.map((member) => member.raftId);
    return await claimStorage(kv, runtime, expected, config.cluster.join ? null : voters);
  } catch (thrown) {
    throw storageExit(folder, thrown);
  }
}
