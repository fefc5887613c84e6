import assert from "node:assert/strict";
import { leaseCases } from "./cases/lease.js";
import { lockCases } from "./cases/lock.js";
import { persistentOpenCases } from "./cases/persistent-open.js";
import { replayCases } from "./cases/replay.js";
import { takeoverCases } from "./cases/takeover.js";
import { SITUATIONS } from "./failover.js";
import { type Case, runCases } from "./run-cases.js";

const SEED = Number(process.env["SEED"] ?? 1);
const GROUPS: Readonly<Record<string, readonly Case[]>> = {
  "smb2.persistent-open": persistentOpenCases,
  "smb2.replay": replayCases,
  "smb2.lock": lockCases,
  "smb2.lease": leaseCases,
  "smb2.durable-v2-open, session, application instances": takeoverCases,
};

describe("the whole stack, case by case", function () {
  this.timeout(60_000);
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
