import assert from "node:assert/strict";
import { rankAfter } from "../../src/replica/peers.js";
import { conf, storeKey, TestCluster } from "./cluster.js";

const SEED = Number(process.env["SEED"] ?? 1);

describe("broken link to the leader", () => {
  it("puts the survivors in one order that all agree on", () => {
    assert.equal(rankAfter(2, 3, conf(1, 2, 3)), 0);
    assert.equal(rankAfter(2, 1, conf(1, 2, 3)), 1);
    assert.equal(rankAfter(3, 1, conf(1, 2, 3)), 0);
    assert.equal(rankAfter(3, 9, conf(1, 2, 3)), -1);
  });

  it("leads to a new leader within one term and a fraction of an election timeout, every time", async () => {
    for (let seed = SEED; seed < SEED + 20; seed++) {
      const cluster = await TestCluster.of(3, seed);
      const leader = await cluster.ready();
      const { term } = leader.leader();
      cluster.crash(leader.raftId);
      const diedAt = cluster.world.clock.monotonicMs();
      const next = await cluster.ready();
      const tookMs = cluster.world.clock.monotonicMs() - diedAt;
      assert.ok(tookMs < 60, `seed ${seed}: ${tookMs} ms`);
      assert.equal(next.leader().term, term + 1, `seed ${seed}`);
    }
  });

  it("does not cost a living leader its place when only one link breaks", async () => {
    for (let seed = SEED; seed < SEED + 10; seed++) {
      const cluster = await TestCluster.of(3, seed);
      const leader = await cluster.ready();
      const { term } = leader.leader();
      const follower = cluster.follower().raftId;
      cluster.network.cut(leader.raftId, follower);
      await cluster.world.pass(30);
      cluster.network.heal();
      await cluster.world.pass(2_000);
      assert.equal(leader.leader().ready, true, `seed ${seed}`);
      assert.equal(leader.leader().term, term, `seed ${seed}: a pre-vote must not raise the term`);
      const result = await cluster.world.settled(cluster.replica(follower).propose(storeKey("x")));
      assert.equal(result.error, undefined);
    }
  });
});
