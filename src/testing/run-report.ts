import type { Tally } from "./sim/tally.js";

/** What one run of one seed gave. */
export interface RunReport {
  readonly world: string;
  readonly seed: number;
  readonly virtualUs: number;
  readonly events: number;
  readonly tally: Tally;
  /** Digest of everything that happened: equal for two runs of one seed. */
  readonly traceHash: string;
  readonly acknowledgedWrites: number;
  readonly answeredReads: number;
  /** Histories that the linearizability checker accepted, and those at which it gave up. */
  readonly linearizable: number;
  readonly gaveUp: number;
  /** Null when every checker was content. */
  readonly failure: RunFailure | null;
}

/** Which checker objected, when, and what it said. */
export interface RunFailure {
  readonly checker: string;
  readonly message: string;
  readonly stack: string;
  readonly atUs: number;
  /** The settings of the run, as text. */
  readonly settings: string;
}
