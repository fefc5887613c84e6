import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { run, TestCluster, until } from "./cluster.js";

interface Document {
  readonly within: boolean;
  readonly items: { what: string; runs: number; minMs: number; maxMs: number; within: boolean }[];
}

const BUDGET_MS = 60_000;

describe("holdfast check failover", function () {
  this.timeout(240_000);
  let cluster: TestCluster;

  before(async () => {
    cluster = await TestCluster.start();
    await until("all are well", 60_000, async () => (await cluster.cli("status")).code === 0);
  });
  after(() => cluster?.destroy());

  it("measures planned moves, within its budget, and leaves nothing behind", async () => {
    const before = await cluster.leader();
    // How quick a busy machine is, is not the question: a budget that it keeps in any case.
    const args = ["--yes", "--runs", "1", "--budget", `${BUDGET_MS / 1_000}s`, "-o", "json"];
    const result = await cluster.cli("check", "failover", ...args);
    assert.equal(result.code, 0, result.stderr);
    const document = JSON.parse(result.stdout) as Document;
    assert.deepEqual(
      document.items.map((row) => [row.what, row.runs, row.within]),
      [
        ["leader move", 1, true],
        ["transfer", 1, true],
      ],
    );
    for (const row of document.items)
      assert.ok(row.minMs > 0 && row.minMs <= row.maxMs && row.maxMs < BUDGET_MS);
    assert.notEqual(await cluster.leader(), before, "the leadership was really moved");
    const [operation] = await cluster.items<{ state: string }>("ops", "list");
    assert.equal(operation?.state, "done", "the session was really moved");
    assert.deepEqual(
      readdirSync(cluster.share).filter((name) => name.includes("check")),
      [],
    );
    assert.deepEqual(await cluster.items("sessions"), []);
  });

  it("explain tells what the check did: a leader that was handed over to, a session that was moved and closed", async () => {
    let tries = 0;
    await cluster.undisturbed(async () => {
      // Whoever was elected since, in a stall of the machine, was not handed over to.
      if (tries++ > 0) assert.equal((await cluster.cli("leader", "move")).code, 0);
      const leader = await cluster.cli("explain", "leader");
      assert.equal(leader.code, 0, leader.stderr);
      assert.match(leader.stdout, /Its election: the leader before handed over\.\nNext: /);
    });
    const session = await cluster.cli("explain", "session", "1");
    assert.equal(session.code, 0, session.stderr);
    assert.match(
      session.stdout,
      /session 1 moved from n\d to n\d: operation .*\n[^]*Session 1 is gone since revision/,
    );
    const unknown = await cluster.cli("explain", "session", "999");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /UNKNOWN_SESSION: there is no session 999.*Next: holdfast sessions/);
  });

  it("does nothing where a round is past the budget without any disturbance, and says so with exit code 1", async () => {
    const before = await cluster.items("ops", "list");
    const result = await cluster.cli("check", "failover", "--yes", "--budget", "0.01ms", "-o", "json");
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, /the budget of 0.01 ms was exceeded; nothing more was done/);
    const document = JSON.parse(result.stdout) as Document;
    assert.deepEqual(
      document.items.map((row) => [row.what, row.runs, row.within]),
      [["before leader move", 1, false]],
    );
    assert.deepEqual(await cluster.items("ops", "list"), before);
  });

  it("stops at the first pause past the budget, with exit code 1", async () => {
    // No lease of a dead owner runs out within this: the kill has to exceed it.
    const args = ["--kill-owner", "--data", cluster.folder, "--yes", "--budget", "400ms", "-o", "json"];
    const result = await cluster.cli("check", "failover", "--runs", "3", ...args);
    assert.equal(result.code, 1, result.stderr);
    assert.match(result.stderr, /the budget of 400 ms was exceeded; nothing more was done/);
    const document = JSON.parse(result.stdout) as Document;
    assert.equal(document.within, false);
    const last = document.items.at(-1);
    assert.equal(last?.within, false);
    assert.ok(last.maxMs >= 400);
    assert.ok(
      cluster.nodes.filter((node) => !cluster.isRunning(node.name)).length <= 1,
      "at most one was killed",
    );
  });

  it("moves and kills nothing without consent, and kills nothing without a folder", async () => {
    const running = () => cluster.nodes.filter((node) => cluster.isRunning(node.name)).length;
    const before = running();
    for (const args of [[], ["--kill-owner", "--data", cluster.folder]]) {
      const operations = await cluster.items("ops", "list");
      const noConsent = await cluster.cli("check", "failover", ...args);
      assert.equal(noConsent.code, 2);
      assert.match(noConsent.stderr, /wants consent, and there is nobody to ask\. Next: add --yes/);
      assert.deepEqual(await cluster.items("ops", "list"), operations);
    }
    const noFolder = await run(["check", "failover", "--kill-leader", "--yes"]);
    assert.equal(noFolder.code, 2);
    assert.match(noFolder.stderr, /want --data/);
    assert.equal(running(), before);
  });
});
