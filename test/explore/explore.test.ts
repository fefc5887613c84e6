import assert from "node:assert/strict";
import { clearMutants, type MutantName, setMutant } from "../../src/raft/mutants.js";
import { SCOPES } from "./scopes.js";
import { explore, type Limits, type Scope, type SearchResult } from "./search.js";

const SECONDS_MAX = 20;

function limits(): Limits {
  const nowMs = (): number => performance.now();
  return { statesMax: 1_000_000, nowMs, deadlineMs: nowMs() + SECONDS_MAX * 1000 };
}

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
  this.timeout(2 * SECONDS_MAX * 1000);

  const expected: [string, string[]][] = [
    ["elections", ["two leaders of different terms", "something committed"]],
    ["slow disks", ["a leader", "something committed"]],
    ["replication", ["all logs end differently", "something committed"]],
    ["pre-vote", ["a leader"]],
    ["members", ["something committed"]],
    ["joint", ["a joint configuration"]],
  ];
  for (const [start, situations] of expected) {
    it(`${scope(start).name}`, () => {
      const result = explore(scope(start), limits());
      assert.equal(result.violation, null, report(result));
      assert.ok(result.complete, `not complete: ${report(result)}`);
      for (const what of situations) assert.ok((result.reached[what] ?? 0) > 0, `never reached: ${what}`);
    });
  }
});

describe("explore: planted bugs are found", function () {
  this.timeout(2 * SECONDS_MAX * 1000);
  afterEach(clearMutants);

  const planted: [MutantName, string][] = [
    ["voteTwice", "elections"],
    ["voteBeforeDurable", "slow disks"],
    ["voteForgottenAtRestart", "slow disks"],
    ["ackBeforeDurable", "slow disks"],
    ["selfCountBeforeDurable", "slow disks"],
    ["quorumOffByOne", "replication"],
    ["heartbeatCommitUnclamped", "full"],
    ["voteWithoutLogCheck", "elections"],
    ["truncateAtPrev", "overtaking"],
  ];
  for (const [name, start] of planted) {
    it(name, () => {
      setMutant(name, true);
      const result = explore(scope(start), limits());
      assert.notEqual(result.violation, null, `survived ${report(result)}`);
    });
  }
});
