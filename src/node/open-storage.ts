import { join } from "node:path";
import type { Runtime } from "../runtime/index.js";
import { FOUNDED_AT, NodeStorage, openRocks } from "../storage/index.js";
import { HoldfastError } from "../wire/errors.js";
import type { NodeConfig } from "./config.js";
import { NODE_EXIT, NodeExitError } from "./exit-codes.js";

/** The incarnation of a member's first disk; it rises when the member is added again after losing one. */
const FIRST_INCARNATION = 1;

/**
 * Opens the database of a node, and with it takes the lock on the data folder. An empty disk becomes this node's; a
 * disk of another node, of another cluster or of a newer version, and a damaged one, are refused. `makeRoom` is called
 * when a write finds no space.
 */
export async function openNodeStorage(
  config: NodeConfig,
  runtime: Runtime,
  makeRoom: () => Promise<void>,
): Promise<NodeStorage> {
  const folder = join(config.data, "db");
  const raftId = config.member?.raftId ?? 0;
  const expected = { clusterId: config.cluster.id, name: config.name, raftId };
  try {
    const kv = await openRocks(folder, { makeRoom });
    const storage = await NodeStorage.open(kv, runtime);
    if (storage.identity !== null) {
      storage.checkIdentity(expected);
      return storage;
    }
    const voters = config.cluster.members.map((member) => member.raftId);
    const who = { ...expected, incarnation: FIRST_INCARNATION };
    const nobody = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    if (config.cluster.join) await storage.initialise(who, nobody);
    else await storage.initialise(who, { ...nobody, voters }, FOUNDED_AT);
    runtime.log.info(
      { ...expected, voters, joins: config.cluster.join },
      "empty data folder made this node's",
    );
    return storage;
  } catch (thrown) {
    throw storageExit(folder, thrown);
  }
}

/** The exit code and the one line for a database that cannot be opened. */
function storageExit(folder: string, thrown: unknown): Error {
  if (!(thrown instanceof HoldfastError)) {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  const next = thrown.extras.next ?? "look at the folder and the log beside it";
  if (/is in use by another process/.test(thrown.message)) {
    return new NodeExitError(NODE_EXIT.dataInUse, thrown.message, next, thrown);
  }
  if (/may not be read or written|no space left/.test(thrown.message)) {
    return new NodeExitError(NODE_EXIT.dataUnwritable, thrown.message, next, thrown);
  }
  const message = thrown.message.includes(folder) ? thrown.message : `${folder}: ${thrown.message}`;
  return new NodeExitError(NODE_EXIT.dataDamaged, message, next, thrown);
}
