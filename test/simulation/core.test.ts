import assert from "node:assert/strict";
import { runCore } from "../../src/testing/core-world/index.js";
import { Campaign, printFailure } from "./campaign.js";
import { coreWorld } from "./worlds.js";

/** Seeds that once failed, and what they found: each stays here for good. See docs/verification.md. */
const REGRESSIONS: readonly (readonly [seed: number, found: string])[] = [
  [27, "a demoted leader's longer log kept the only voter from being elected"],
  [118, "the same, with a joint configuration whose halves have one voter each"],
  [328, "a member without PreVote and CheckQuorum never answered a leader of a lower term"],
  [558, "a pre-vote left after its log had been cut back"],
  [1298, "a configuration change was applied below an accepted snapshot"],
];

/** The same, with the faults that were added since. */
const REGRESSIONS_WITH_EXTRA_FAULTS: readonly (readonly [seed: number, found: string])[] = [
  [1972, "the effect contract blamed an acknowledgement noticed after a later leader had replaced its entry"],
  [4411, "the same, where one sync wrote the entry and what replaced it"],
  [4638, "a disk rotted while a removal was on its way: of two voters one was lost"],
  [7549, "the same as 1972, where one turn accepted the entry and what replaced it"],
  [7870, "the same as 1972, with a short tail"],
  [107393, "a follower was blamed for a commit that its leader had made and died with, unseen"],
  [111923, "the same, by a leader that was the only voter"],
  [
    89933,
    "without pre-votes a removed member's higher term kept the only possible leader from being elected",
  ],
];

const RANDOM_SEEDS = 20;

describe("simulation of the consensus core", function () {
  // Only against one that never ends: what runs beside it may take all but its leavings of the processor.
  this.timeout(900_000);

  const passes = (seed: number, found: string, withExtraFaults: boolean): void => {
    it(`seed ${seed}: ${found}`, () => {
      const report = runCore(seed, null, withExtraFaults);
      printFailure(report);
      assert.equal(report.failure, null);
    });
  };
  // As it was drawn then: without the faults that were added since.
  for (const [seed, found] of REGRESSIONS) passes(seed, found, false);
  for (const [seed, found] of REGRESSIONS_WITH_EXTRA_FAULTS) passes(seed, found, true);

  it("a fixed set of seeds reaches every listed situation, the same way twice", async () => {
    const campaign = new Campaign(coreWorld);
    for (let seed = 1; seed <= coreWorld.seedsForSituations; seed++)
      await campaign.run(seed, seed % 40 === 0);
    for (const report of campaign.failures) printFailure(report);
    assert.deepEqual(campaign.missingSituations(), []);
    assert.equal(campaign.failures.length, 0);
    assert.ok(campaign.repeated >= 10);
  });

  const first = process.env.SEED ? Number(process.env.SEED) : 1_000_000 + Math.floor(Math.random() * 1e9);
  const last = first + (process.env.SEED ? 0 : RANDOM_SEEDS - 1);
  it(`random seeds ${first} to ${last}`, async () => {
    const campaign = new Campaign(coreWorld);
    for (let seed = first; seed <= last; seed++) await campaign.run(seed, false);
    for (const report of campaign.failures) printFailure(report);
    assert.equal(campaign.failures.length, 0);
  });
});
