import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { clearMutants, setMutant } from "../../src/raft/mutants.js";
import { parseDirective, parseFile } from "./datadriven.js";
import { describeDifference, runFile, runOracle, withoutLogger } from "./oracle.js";

const DIR = resolve(process.env["HOLDFAST_ORACLE_DIR"] || "../shared/oracle/etcd-raft");

describe("oracle: etcd's test files", function () {
  this.timeout(60_000);

  it("all cases of all files agree", function () {
    if (!existsSync(DIR)) {
      assert.notEqual(process.env["CI"], "true", `oracle data absent at ${DIR}, and CI must not skip it`);
      console.error(`\nSKIPPED: oracle data absent at ${DIR}\n`);
      this.skip();
    }
    const report = runOracle(DIR);
    const first = report.files.flatMap(({ file, failures }) => failures.map((f) => ({ file, ...f })))[0];
    if (first !== undefined) {
      assert.fail(`${file(first)} ${first.command}\n${describeDifference(first.expected, first.actual)}`);
    }
    assert.deepEqual(report.stale, []);
    assert.ok(report.passed > 0, `no case found under ${DIR}`);
  });

  it("notices a planted bug", function () {
    if (!existsSync(DIR)) this.skip();
    setMutant("quorumOffByOne", true);
    try {
      assert.ok(runOracle(DIR).failed > 0);
    } finally {
      clearMutants();
    }
  });
});

function file(at: { file: string; line: number }): string {
  return `${at.file}:${at.line}`;
}

describe("oracle: the comparison itself", () => {
  const CASE = "add-nodes 1 voters=(1) index=3\n----\nok\n\ncampaign 1\n----\nok\n\nraft-state\n----\n";

  it("accepts the right output and refuses another", () => {
    const right = runFile("interaction", `${CASE}1: StateCandidate (Voter) Term:1 Lead:0\n`);
    assert.deepEqual([right.passed.length, right.failures.length], [3, 0]);
    const wrong = runFile("interaction", `${CASE}1: StateLeader (Voter) Term:1 Lead:1\n`);
    assert.deepEqual(
      wrong.failures.map((f) => [f.line, f.command]),
      [[9, "raft-state"]],
    );
  });

  it("drops lines of loggers on both sides and nothing else", () => {
    assert.equal(withoutLogger("INFO 1 became leader\n"), "ok");
    assert.equal(withoutLogger("> 1 handling Ready\n  DEBUG x\n  Ready\n"), "> 1 handling Ready\n  Ready");
    assert.equal(withoutLogger("INFORMATION\n"), "INFORMATION");
  });

  it("fails for a divergence that did not occur", () => {
    if (!existsSync(DIR)) return;
    const stale = { file: "quorum/majority_vote.txt", line: 2, reason: "for the test" };
    assert.deepEqual(runOracle(DIR, [stale]).stale, [stale]);
  });

  it("reports an unknown command as a failure", () => {
    assert.equal(runFile("interaction", "fly 1\n----\nok\n").failures.length, 1);
  });
});

describe("oracle: the grammar", () => {
  it("reads arguments without values, with one and with several", () => {
    assert.deepEqual(parseDirective("cmd 1 a=2 b=(3, 4) c=()"), {
      command: "cmd",
      args: [
        { key: "1", values: [] },
        { key: "a", values: ["2"] },
        { key: "b", values: ["3", "4"] },
        { key: "c", values: [] },
      ],
    });
    assert.throws(() => parseDirective("cmd a=(1"), SyntaxError);
  });

  it("reads comments, continued lines, input and outputs with blank lines", () => {
    const text =
      "# comment\ncmd 1 \\\n  2\nin\nput\n----\nout\n\nnext\n----\n----\none\n\ntwo\n----\n----\n\nlast\n----\n";
    assert.deepEqual(
      parseFile(text).map(({ line, command, input, expected }) => ({ line, command, input, expected })),
      [
        { line: 2, command: "cmd", input: "in\nput", expected: "out\n" },
        { line: 9, command: "next", input: "", expected: "one\n\ntwo\n" },
        { line: 18, command: "last", input: "", expected: "" },
      ],
    );
  });
});
