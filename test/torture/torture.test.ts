import assert from "node:assert/strict";
import { SITUATIONS } from "./failover.js";
import { GROUPS } from "./groups.js";
import { runCases } from "./run-cases.js";

const SEED = Number(process.env["SEED"] ?? 1);

describe("the whole stack, case by case", function () {
  // Virtual time: four seconds of an idle core each, a minute and more of one that others keep busy.
  this.timeout(300_000);
  for (const situation of SITUATIONS) {
    for (const failovers of [1, 2, 3]) {
      describe(`${situation}, failover ${failovers} in a row`, () => {
        let results: Map<string, unknown>;
        before(async () => {
          results = await runCases(Object.values(GROUPS).flat(), situation, failovers, SEED);
        });
        for (const [group, cases] of Object.entries(GROUPS)) {
          for (const { name } of cases) {
            it(`${group}: ${name}`, () => {
              assert(results.has(name), `it did not end (SEED=${SEED})`);
              const failure = results.get(name);
              if (failure !== null) throw failure;
            });
          }
        }
      });
    }
  }
});
