import assert from "node:assert/strict";
import { TestCluster, until } from "./cluster.js";

describe("the command line without a quorum", function () {
  this.timeout(240_000);
  let cluster: TestCluster;
  before(async () => {
    cluster = await TestCluster.start();
    await cluster.kill("n1");
    await cluster.kill("n2");
  });
  after(() => cluster?.destroy());

  it("status says so with exit code 4, livez stays well and readyz does not", async () => {
    const { http } = cluster.node("n3");
    await until(
      "n3 is not ready any more",
      60_000,
      async () => (await fetch(`http://${http}/readyz`)).status === 503,
    );
    assert.equal((await fetch(`http://${http}/livez`)).status, 200);
    // A node that is short of processor time may miss what a status command waits for it.
    await until("the status says so", 60_000, async () => {
      const result = await cluster.cli("status");
      assert.equal(result.code, 4, result.stderr);
      assert.match(result.stdout, /n1 .+ unreachable/);
      assert.match(result.stdout, /n3 /);
      return true;
    });
  });

  it("lists end with 4 or 124, and answer with --stale", async () => {
    const result = await cluster.cli("nodes", "--timeout", "2s");
    assert.ok(result.code === 4 || result.code === 124, `${result.code}: ${result.stderr}`);
    const stale = await cluster.cli("sessions", "--stale");
    assert.equal(stale.code, 0, stale.stderr);
  });

  it("comes back by itself when a node is started again", async () => {
    cluster.startNode("n1");
    await cluster.untilReady(["n1", "n3"]);
    await until("the status says degraded", 60_000, async () => (await cluster.cli("status")).code === 3);
  });
});
