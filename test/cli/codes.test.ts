import assert from "node:assert/strict";
import { run } from "../integration/cluster.js";

describe("holdfast explain CODE", function () {
  this.timeout(20_000);

  it("says what a code means, what to do, and the next step, without a cluster", async () => {
    const ended = await run(["explain", "stale_epoch"]);
    assert.equal(ended.stderr, "");
    assert.equal(ended.code, 0);
    assert.equal(
      ended.stdout,
      "STALE_EPOCH (23): Ownership has moved on since the caller learned its epoch: it is fenced off.\n" +
        "Caller: Stop serving the session; a client connects to the present owner.\n" +
        "Next: holdfast explain session ID\n",
    );
  });

  it("refuses what is no code, with exit code 2 and the next step", async () => {
    const ended = await run(["explain", "NOPE"]);
    assert.equal(ended.code, 2);
    assert.match(
      ended.stderr,
      /"NOPE" is neither an error code nor something to explain\. Next: holdfast explain/,
    );
    const session = await run(["explain", "session"]);
    assert.equal(session.code, 2);
    assert.match(session.stderr, /explain session wants to know which\. Next: holdfast sessions/);
  });
});
