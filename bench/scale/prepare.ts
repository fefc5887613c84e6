import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { LocalNode } from "../../src/cli/local-cluster.js";
import { memoryMeter, realClock, realRandom, realScheduler } from "../../src/runtime/index.js";
import type { DirtyRecord } from "../../src/state/api.js";
import { NodeStorage, openRocks } from "../../src/storage/index.js";
import { fill, type ScaleOptions } from "./state.js";

/** The group as its members' disks know it. */
function group(nodes: readonly LocalNode[]) {
  return {
    voters: nodes.map((node) => node.raftId),
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  };
}

/**
 * Writes the data folders of a cluster whose first node owns everything: what its members would have on disk after as
 * many sessions and opens, without the hour that the clients would take. Each node starts from there as after a stop.
 */
export async function prepareFolders(nodes: readonly LocalNode[], options: ScaleOptions): Promise<void> {
  const slices: DirtyRecord[][] = [];
  const state = fill({ ...options, nodes }, (records) => slices.push(records));
  for (const node of nodes) await prepareFolder(node, nodes, slices, state.index);
}

async function prepareFolder(
  node: LocalNode,
  nodes: readonly LocalNode[],
  slices: readonly DirtyRecord[][],
  index: number,
): Promise<void> {
  const world = { clock: realClock, scheduler: realScheduler, random: realRandom, meter: memoryMeter() };
  mkdirSync(node.data, { recursive: true });
  const storage = await NodeStorage.open(await openRocks(join(node.data, "db")), world);
  const confState = group(nodes);
  const who = { clusterId: "local", name: node.name, raftId: node.raftId, incarnation: 1 };
  await storage.initialise(who, confState, index);
  await storage.loadDurable();
  // The state has this incarnation up. A process that took it once more would be revoked by whoever starts before it.
  await storage.nextFileNodeIncarnation();
  const applied = { index, term: index, confState, confIndex: index };
  for (const slice of slices)
    await new Promise<void>((resolve, reject) =>
      storage.writeState(slice, applied, (error) => (error === null ? resolve() : reject(error))),
    );
  await storage.close();
}
