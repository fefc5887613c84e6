import fc from "fast-check";

/** Runs a property; env SEED replays one, and a failure prints the seed to use. RUNS changes the number of runs. */
export function check<T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>, runs = 300): void {
  const seed = Number(process.env["SEED"]) || undefined;
  fc.assert(property, {
    numRuns: Number(process.env["RUNS"]) || runs,
    ...(seed === undefined ? {} : { seed }),
  });
}
