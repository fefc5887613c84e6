import type { RunReport } from "../../src/testing/run-report.js";
import { Tally } from "../../src/testing/sim/tally.js";
import type { World } from "./worlds.js";

/** What a campaign of many seeds in one world gave. */
export class Campaign {
  readonly tally = new Tally();
  readonly failures: RunReport[] = [];
  seeds = 0;
  repeated = 0;
  virtualUs = 0;
  events = 0;
  acknowledgedWrites = 0;
  answeredReads = 0;
  linearizable = 0;
  gaveUp = 0;
  private directed = false;

  constructor(readonly world: World) {}

  /** Runs one seed, a part of them twice, and adds up. */
  async run(seed: number, twice: boolean): Promise<RunReport> {
    const report = await this.world.run(seed);
    this.seeds++;
    this.virtualUs += report.virtualUs;
    this.events += report.events;
    this.acknowledgedWrites += report.acknowledgedWrites;
    this.answeredReads += report.answeredReads;
    this.linearizable += report.linearizable;
    this.gaveUp += report.gaveUp;
    this.tally.add(report.tally);
    if (report.failure !== null) this.failures.push(report);
    if (twice) await this.repeat(report);
    return report;
  }

  private async repeat(report: RunReport): Promise<void> {
    this.repeated++;
    const again = await this.world.run(report.seed);
    if (again.traceHash === report.traceHash && again.events === report.events) return;
    this.failures.push({
      ...report,
      failure: {
        checker: "determinism",
        message: `seed ${report.seed} gave trace ${report.traceHash}, and ${again.traceHash} when it was run again`,
        stack: "",
        atUs: report.virtualUs,
        settings: "",
      },
    });
  }

  /** Runs the seeds that are known for rare situations until none is missing; from then on a missing one is a failure. */
  async reachSituations(): Promise<void> {
    for (const seed of this.world.situationSeeds) {
      if (this.unreached().length === 0) break;
      await this.run(seed, false);
    }
    this.directed = this.world.situationSeeds.length > 0;
  }

  /** Listed situations that no seed reached; empty as long as too few seeds ran to tell. */
  missingSituations(): string[] {
    if (!this.directed && this.seeds < this.world.seedsForSituations) return [];
    return this.unreached();
  }

  private unreached(): string[] {
    return this.world.situations.filter((name) => !this.tally.situations.has(name));
  }

  /** Figures for JSON. */
  figures(): object {
    const sorted = (map: ReadonlyMap<string, number>): Record<string, number> =>
      Object.fromEntries([...map].sort(([x], [y]) => (x < y ? -1 : 1)));
    return {
      world: this.world.name,
      seeds: this.seeds,
      repeated: this.repeated,
      virtualSeconds: Math.round(this.virtualUs / 1e6),
      events: this.events,
      acknowledgedWrites: this.acknowledgedWrites,
      answeredReads: this.answeredReads,
      linearizableHistories: this.linearizable,
      undecidedHistories: this.gaveUp,
      faults: sorted(this.tally.faults),
      situations: sorted(this.tally.situations),
      missingSituations: this.missingSituations(),
      failures: this.failures.map(({ seed, failure }) => ({
        seed,
        checker: failure?.checker,
        message: failure?.message,
      })),
    };
  }
}

/** A failing seed, with all that is needed to look at it again. */
export function printFailure(report: RunReport): void {
  const { failure, seed, world } = report;
  if (failure === null) return;
  console.log(`\nFAILED  ${world} seed ${seed} at ${(failure.atUs / 1e6).toFixed(3)} s: ${failure.message}`);
  if (failure.settings !== "") console.log(`        settings ${failure.settings}`);
  console.log(`        again with: make sim SEED=${seed} WORLD=${world} (TRACE=1 prints every event)`);
}
