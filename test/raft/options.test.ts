import assert from "node:assert/strict";
import { NO_LIMIT, RAFT_ID_MAX, type RaftOptions, TICKS_MAX, validateOptions } from "../../src/raft/index.js";
import { clearMutants, MUTANTS, mutant, setMutant } from "../../src/raft/mutants.js";
import { Cluster, testOptions } from "./support/cluster.js";

function problems(overrides: Partial<RaftOptions>): number {
  return validateOptions(testOptions(1, overrides)).length;
}

describe("raft options", () => {
  it("accept each limit at its edge and refuse one beyond", () => {
    const edges: [keyof RaftOptions, number, number][] = [
      ["id", 1, RAFT_ID_MAX],
      ["heartbeatTicks", 1, 9],
      ["electionTicks", 2, TICKS_MAX],
      ["inflightMessagesMax", 1, NO_LIMIT],
      ["uncommittedBytesMax", 1, NO_LIMIT],
      ["committedBytesMax", 1, NO_LIMIT],
      ["appendBytesMax", 0, NO_LIMIT],
    ];
    for (const [name, min, max] of edges) {
      assert.equal(problems({ [name]: min }), 0, `${name} ${min}`);
      assert.equal(problems({ [name]: max }), 0, `${name} ${max}`);
      assert.ok(problems({ [name]: min - 1 }) > 0, `${name} ${min - 1}`);
      assert.ok(problems({ [name]: max + 1 }) > 0, `${name} ${max + 1}`);
      assert.ok(problems({ [name]: 1.5 }) > 0, `${name} 1.5`);
    }
    assert.equal(problems({ appendBytesMax: 100, inflightBytesMax: 100 }), 0);
    assert.ok(problems({ appendBytesMax: 100, inflightBytesMax: 99 }) > 0);
  });

  it("say what is wrong, with the value", () => {
    const [first] = validateOptions(testOptions(0));
    assert.match(first ?? "", /^id must be a whole number from 1 to 4294967295, but is 0$/);
    assert.throws(() => new Cluster([1], () => ({ electionTicks: 1 })), /electionTicks/);
  });
});

describe("raft mutants", () => {
  it("are all off, and can be turned on one at a time and off again", () => {
    assert.ok(MUTANTS.length >= 25);
    assert.ok(Object.values(mutant).every((on) => !on));
    setMutant("voteTwice", true);
    assert.equal(mutant.voteTwice, true);
    clearMutants();
    assert.ok(Object.values(mutant).every((on) => !on));
    assert.throws(() => setMutant("noSuchBug" as "voteTwice", true), RangeError);
  });
});
