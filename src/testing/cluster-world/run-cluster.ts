import type { RunFailure, RunReport } from "../run-report.js";
import { Violation } from "../sim/simulation.js";
import { ClusterWorld } from "./cluster-world.js";

/**
 * Runs one seed of the whole product to its end; with `scenes`, of the scenes that are played on it. `sink` receives the
 * trace as text. Never rejects.
 */
export async function runCluster(
  seed: number,
  sink: ((line: string) => void) | null = null,
  scenes = false,
): Promise<RunReport> {
  const world = new ClusterWorld(seed, scenes);
  world.sim.trace.sink = sink;
  let failure: RunFailure | null = null;
  try {
    await world.run();
  } catch (error) {
    const thrown = error instanceof Error ? error : new Error(String(error));
    failure = {
      checker: thrown instanceof Violation ? thrown.checker : thrown.name,
      message: thrown.message,
      stack: thrown.stack ?? "",
      atUs: world.sim.nowUs,
      settings: JSON.stringify(world.settings),
    };
  } finally {
    world.population.end();
  }
  return {
    world: scenes ? "scenes" : "cluster",
    seed,
    virtualUs: world.sim.nowUs,
    events: world.sim.events,
    tally: world.sim.tally,
    traceHash: world.sim.trace.value(),
    acknowledgedWrites: world.writes,
    answeredReads: world.reads,
    linearizable: world.population.linearizable,
    gaveUp: world.population.gaveUp,
    failure,
  };
}
