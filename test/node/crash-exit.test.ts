import assert from "node:assert/strict";
import { crashExit } from "../../src/node/storage-exits.js";
import { RaftLog } from "../../src/raft/log/raft-log.js";
import { NO_LIMIT } from "../../src/raft/options.js";

const NODE = { name: "n2", data: "/var/lib/holdfast" };

/** What the core throws when it is told that more is committed than its disk has. */
function beyondTheLog(): Error {
  try {
    new RaftLog(226, 1, [], NO_LIMIT).commitTo(229);
  } catch (error) {
    return error as Error;
  }
  assert.fail("it was taken");
}

describe("the end of a node by an exception that nobody caught", () => {
  it("is damage where the disk has less than it acknowledged: no supervisor may start it again", () => {
    const exit = crashExit(beyondTheLog(), NODE);
    assert.equal(exit.exitCode, 66);
    assert.match(
      exit.line,
      /^holdfast: \/var\/lib\/holdfast: the log ends at 226, .* up to 229: an older copy was put back/,
    );
    assert.match(exit.line, /Next: move the folder away, holdfast members remove n2, then/);
  });

  it("is a bug otherwise, and before there is a configuration", () => {
    const exit = crashExit(new Error("no such thing\n    at core.ts:1"), NODE);
    assert.equal(exit.exitCode, 70);
    assert.match(exit.line, /^holdfast: broken invariant: no such thing. Next: see the log .* report it$/);
    assert.equal(crashExit(beyondTheLog(), undefined).exitCode, 70);
  });
});
