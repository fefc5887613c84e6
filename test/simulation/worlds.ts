import { CORE_SITUATIONS, runCore } from "../../src/testing/core-world/index.js";
import {
  CLUSTER_SITUATION_SEEDS,
  CLUSTER_SITUATIONS,
  damagesDisks,
  runCluster,
  SCENE_SITUATIONS,
} from "../../src/testing/cluster-world/index.js";
import type { RunReport } from "../../src/testing/run-report.js";

/** A world that seeds can be run in. */
export interface World {
  readonly name: string;
  /** What a run of many seeds has to have reached. */
  readonly situations: readonly string[];
  /** Seeds after which a missing situation counts as a failure. */
  readonly seedsForSituations: number;
  /** Seeds that together reach all of them: run when a shorter run has not. Empty: only many seeds can tell. */
  readonly situationSeeds: readonly number[];
  run(seed: number, sink?: ((line: string) => void) | null): RunReport | Promise<RunReport>;
}

/** The consensus core alone: fast, thousands of seeds. */
export const coreWorld: World = {
  name: "core",
  situations: CORE_SITUATIONS,
  seedsForSituations: 400,
  situationSeeds: [],
  run: (seed, sink = null) => runCore(seed, sink),
};

/** The whole product but gRPC and RocksDB: slower, and with files, leases, takeovers and the client library. */
export const clusterWorld: World = {
  name: "cluster",
  situations: CLUSTER_SITUATIONS,
  seedsForSituations: 100,
  situationSeeds: CLUSTER_SITUATION_SEEDS,
  run: (seed, sink = null) => runCluster(seed, sink),
};

/** Of the seeds of the cluster world those in which disks are damaged: the first, the second, and so on. */
export const damagedWorld: World = {
  ...clusterWorld,
  run: (nth, sink = null) => {
    let seed = 0;
    for (let left = nth; left > 0; left--)
      do seed++;
      while (!damagesDisks(seed));
    return runCluster(seed, sink);
  },
};

/** The whole product in situations that are played on purpose, without any other fault. */
export const sceneWorld: World = {
  name: "scenes",
  situations: SCENE_SITUATIONS,
  seedsForSituations: 20,
  situationSeeds: [],
  run: (seed, sink = null) => runCluster(seed, sink, true),
};

export const WORLDS: readonly World[] = [coreWorld, clusterWorld, sceneWorld];
