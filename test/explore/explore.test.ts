import assert from "node:assert/strict";
import { clearMutants, type MutantName, setMutant } from "../../src/raft/mutants.js";
import { KeySet } from "./key-set.js";
import { SCOPES } from "./scopes.js";
import { explore, type Limits, type Scope, type SearchResult } from "./search.js";

/** The scopes below are complete well before; a bound in states and not in time, so that a busy machine changes nothing. */
const LIMITS: Limits = {
  statesMax: 600_000,
  nowMs: () => performance.now(),
  deadlineMs: Number.POSITIVE_INFINITY,
};
/** Only against one that never ends: what runs beside it may take all but its leavings of the processor. */
const TIMEOUT_MS = 900_000;

function scope(start: string): Scope {
  const found = SCOPES.find(({ name }) => name.startsWith(start));
  assert.ok(found !== undefined, `no scope ${start}`);
  return found;
}

function report(result: SearchResult): string {
  const path = result.violation === null ? [] : [result.violation.message, ...result.violation.path];
  return `${result.scope}: ${result.states} states, depth ${result.depth}\n${path.join("\n")}`;
}

describe("explore: every world of a small group keeps its promises", function () {
  this.timeout(TIMEOUT_MS);

  const expected: [string, string[]][] = [
    ["elections", ["two leaders of different terms", "something committed"]],
    ["slow disks", ["a leader", "something committed"]],
    ["replication", ["all logs end differently", "something committed"]],
    ["members", ["something committed"]],
    ["joint", ["a joint configuration"]],
    [
      "narrow links: 3 nodes, 2 terms, a joint change",
      ["a joint configuration", "two leaders of different terms", "something committed"],
    ],
  ];
  for (const [start, situations] of expected) {
    it(`${scope(start).name}`, () => {
      const result = explore(scope(start), LIMITS);
      assert.equal(result.violation, null, report(result));
      assert.ok(result.complete, `not complete: ${report(result)}`);
      for (const what of situations) assert.ok((result.reached[what] ?? 0) > 0, `never reached: ${what}`);
    });
  }
});

describe("explore: worlds and their mirror images", function () {
  this.timeout(TIMEOUT_MS);

  // A mirror image that is none would be left out, or lead to worlds at another depth.
  for (const start of ["slow disks", "elections"]) {
    it(`count once, and nothing else is left out: ${scope(start).name}`, () => {
      const all = explore({ ...scope(start), mirrored: false }, LIMITS);
      const half = explore(scope(start), LIMITS);
      assert.ok(all.complete && half.complete, `${report(all)}${report(half)}`);
      assert.equal(half.depth, all.depth);
      assert.ok(half.states * 2 >= all.states, `${half.states} of ${all.states}`);
      assert.ok(half.states < all.states * 0.52, `${half.states} of ${all.states}`);
      assert.deepEqual(Object.keys(half.reached).sort(byText), Object.keys(all.reached).sort(byText));
    });
  }
});

describe("explore: a set of many numbers", () => {
  it("holds what was added, and nothing else, over many growths", () => {
    const set = new KeySet();
    const keys = Array.from({ length: 200_000 }, (_, i) => (i + 1) * 4_827_100_003);
    for (const key of keys) assert.equal(set.add(key), true);
    for (const key of keys) assert.equal(set.add(key), false);
    assert.equal(set.size, keys.length);
    assert.ok(keys.every((key) => set.has(key)));
    assert.ok(!keys.some((key) => set.has(key + 1)));
    assert.ok(set.add(0) && set.has(0) && set.add(2 ** 53 - 2));
  });
});

function byText(x: string, y: string): number {
  return x < y ? -1 : 1;
}

describe("explore: planted bugs are found", function () {
  this.timeout(TIMEOUT_MS);
  afterEach(clearMutants);

  const planted: [MutantName, string][] = [
    ["voteTwice", "elections"],
    ["voteBeforeDurable", "slow disks"],
    ["voteForgottenAtRestart", "slow disks"],
    ["ackBeforeDurable", "slow disks"],
    ["selfCountBeforeDurable", "slow disks"],
    ["quorumOffByOne", "replication"],
    ["heartbeatCommitUnclamped", "heartbeats"],
    ["voteWithoutLogCheck", "elections"],
    ["truncateAtPrev", "overtaking"],
  ];
  for (const [name, start] of planted) {
    it(name, () => {
      setMutant(name, true);
      const result = explore(scope(start), LIMITS);
      assert.notEqual(result.violation, null, `survived ${report(result)}`);
    });
  }
});
