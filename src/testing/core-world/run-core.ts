import { checkLinearizable, partition, registerModel } from "../linearizability/index.js";
import type { RunFailure, RunReport } from "../run-report.js";
import { Violation } from "../sim/simulation.js";
import { CoreWorld } from "./core-world.js";
import { describeSettings } from "./swarm.js";

/** Steps of search a register; beyond it the history counts as undecided. */
const LINEARIZABILITY_STEPS = 200_000;

/** Runs one seed of the core world to its end. `sink` receives the trace as text. Never throws. */
export function runCore(
  seed: number,
  sink: ((line: string) => void) | null = null,
  withExtraFaults = true,
): RunReport {
  const world = new CoreWorld(seed, withExtraFaults);
  world.sim.trace.sink = sink;
  let failure: RunFailure | null = null;
  const lines = { linearizable: 0, gaveUp: 0 };
  try {
    world.run();
    checkHistories(world, lines);
  } catch (error) {
    failure = describeFailure(error, world);
  }
  return {
    world: "core",
    seed,
    virtualUs: world.sim.nowUs,
    events: world.sim.events,
    tally: world.sim.tally,
    traceHash: world.sim.trace.value(),
    acknowledgedWrites: world.oracle.acknowledgedWrites,
    answeredReads: world.oracle.answeredReads,
    ...lines,
    failure,
  };
}

function checkHistories(world: CoreWorld, lines: { linearizable: number; gaveUp: number }): void {
  for (const history of partition(world.history, (operation) =>
    String((operation as { key?: number }).key),
  )) {
    const { verdict, longest } = checkLinearizable(history, registerModel, LINEARIZABILITY_STEPS);
    if (verdict === "linearizable") lines.linearizable++;
    else if (verdict === "gave-up") lines.gaveUp++;
    else {
      throw new Violation(
        "linearizability",
        `no order explains ${history.length} operations; the longest explanation has ${longest.length}`,
      );
    }
  }
}

function describeFailure(error: unknown, world: CoreWorld): RunFailure {
  const thrown = error instanceof Error ? error : new Error(String(error));
  return {
    checker: thrown instanceof Violation ? thrown.checker : thrown.name,
    message: thrown.message,
    stack: thrown.stack ?? "",
    atUs: world.sim.nowUs,
    settings: describeSettings(
      world.settings,
      world.nodes().map(({ id }) => id),
    ),
  };
}
