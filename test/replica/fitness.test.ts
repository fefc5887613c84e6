import assert from "node:assert/strict";
import { ErrorCode } from "../../src/wire/errors.js";
import { storeKey, TestCluster, versionOf } from "./cluster.js";

const SEED = Number(process.env["SEED"] ?? 1);

describe("replica, fitness to lead and time", () => {
  it("hands over when its disk hangs, and the cluster goes on without it", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    cluster.member(leader.raftId).kv.hung = true;
    const stuck = leader.propose(storeKey("d"));
    await cluster.world.until(
      "another one leads",
      () => cluster.running.some((r) => r.raftId !== leader.raftId && r.leader().ready),
      5_000,
    );
    const next = cluster.running.find((r) => r.raftId !== leader.raftId && r.leader().ready);
    assert.ok(next);
    assert.equal((await cluster.world.settled(next.propose(storeKey("e")))).error, undefined);
    assert.match(leader.status().lastElectionCause, /disk write hangs|was elected/);
    cluster.member(leader.raftId).kv.resume();
    await cluster.world.settled(stuck);
    await cluster.converged();
  });

  it("stops at the first failed write, with its own exit code, and the others go on", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    const member = cluster.member(leader.raftId);
    member.kv.failure = new Error("EIO");
    const result = await cluster.world.settled(leader.propose(storeKey("f")));
    assert.ok(result.error, "an answer, not silence");
    await cluster.world.until("it stops", () => member.fatal !== null);
    assert.match(member.fatal ?? "", /EIO/);
    const next = await cluster.ready();
    assert.notEqual(next.raftId, leader.raftId);
    assert.equal((await cluster.world.settled(next.propose(storeKey("g")))).error, undefined);
    assert.equal(
      (await cluster.world.settled(leader.propose(storeKey("h")))).error?.code,
      ErrorCode.STORAGE_FAILED,
    );
  });

  it("refuses growth while the leader's disk is nearly full, lets the rest through, and recovers by itself", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    const follower = cluster.follower();
    cluster.member(leader.raftId).diskLow = true;
    for (const at of [leader, follower]) {
      const refused = await cluster.world.settled(at.propose(storeKey("z")));
      assert.equal(refused.error?.code, ErrorCode.DISK_FULL);
      assert.equal((await cluster.world.settled(at.propose({ releaseKey: { key: "z" } }))).error, undefined);
    }
    cluster.member(leader.raftId).diskLow = false;
    assert.equal((await cluster.world.settled(follower.propose(storeKey("z")))).error, undefined);
    await cluster.world.until("the leader has it too", () => versionOf(leader, "z") === 1);
  });

  it("keeps cluster time going at the leader, still without one, and never back", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    await cluster.world.settled(leader.propose(storeKey("t")));
    const before = leader.clusterTimeMs();
    await cluster.world.pass(1_000);
    assert.equal(leader.clusterTimeMs() - before, 1_000);
    await cluster.world.settled(leader.propose(storeKey("t")));
    const stamped = Number(leader.state.cluster().clusterTimeMs);
    await cluster.converged();
    for (const id of [1, 2, 3]) cluster.crash(id);
    await cluster.world.pass(60_000);
    for (const id of [1, 2, 3]) await cluster.start(id);
    const next = await cluster.ready();
    const after = next.clusterTimeMs();
    assert.ok(after >= stamped && after < stamped + 2_000, `${stamped} became ${after}`);
  });

  it("proposes what time makes due, once, also after a change of leader, and about in time", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    await cluster.world.settled(leader.propose({ claimKey: { key: "due", timeoutMs: 5_000 } }));
    const at = cluster.world.clock.monotonicMs();
    await cluster.world.pass(3_000);
    cluster.crash(leader.raftId);
    const next = await cluster.ready();
    assert.ok(next.state.key("due"), "not yet");
    await cluster.world.until("it expires", () => next.state.key("due") === undefined);
    const tookMs = cluster.world.clock.monotonicMs() - at;
    assert.ok(tookMs >= 5_000, `too early: ${tookMs}`);
    assert.ok(
      tookMs < 5_000 + 1_000 + 500,
      `a change of leader may add its pause and one interval: ${tookMs}`,
    );
  });
});
