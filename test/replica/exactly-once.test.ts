import assert from "node:assert/strict";
import { Prng } from "../../src/runtime/index.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { storeKey, TestCluster, versionOf } from "./cluster.js";

const SEED = Number(process.env["SEED"] ?? 1);

/** Proposes to a key of its own again and again; counts what was acknowledged and what stayed unknown. */
function load(cluster: TestCluster, keys: number, rounds: number) {
  const acked = new Map<string, number>();
  const unknown = new Map<string, number>();
  const other: string[] = [];
  const one = async (key: string): Promise<void> => {
    for (let i = 0; i < rounds; i++) {
      const running = cluster.running;
      const replica = running[(i + key.length * 7 + Number(key.slice(1))) % running.length];
      if (replica === undefined) continue;
      const result = await replica.propose(storeKey(key));
      if (!result.error) acked.set(key, (acked.get(key) ?? 0) + 1);
      else if (result.error.code === ErrorCode.OUTCOME_UNKNOWN) unknown.set(key, (unknown.get(key) ?? 0) + 1);
      else other.push(String(result.error.message));
    }
  };
  const done = Promise.all(Array.from({ length: keys }, (_, i) => one(`k${i}`)));
  return { acked, unknown, other, done };
}

/** Every key was stored exactly as often as acknowledged, but for what nobody can know. */
function check(cluster: TestCluster, run: ReturnType<typeof load>, keys: number): void {
  for (let i = 0; i < keys; i++) {
    const acked = run.acked.get(`k${i}`) ?? 0;
    const unknown = run.unknown.get(`k${i}`) ?? 0;
    for (const replica of cluster.running) {
      const version = versionOf(replica, `k${i}`);
      assert.ok(
        version >= acked && version <= acked + unknown,
        `k${i}: ${acked} acknowledged, ${unknown} unknown, but stored ${version} times (seed ${cluster.world.seed})`,
      );
    }
  }
}

describe("replica, exactly once", () => {
  it("survives forwards that are lost, doubled and refused", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const random = Prng.fromSeed(SEED);
    cluster.network.copies = (_from, _to, frame) => {
      if (!frame.forward && !frame.forwardRefused) return 1;
      return [0, 1, 2][random.below(3)] as number;
    };
    const run = load(cluster, 20, 30);
    await cluster.world.settled(run.done, 120_000);
    cluster.network.copies = () => 1;
    await cluster.converged();
    check(cluster, run, 20);
    assert.equal(
      run.unknown.size,
      0,
      "a lost forward is sent again within its term, so nothing stays unknown",
    );
    assert.deepEqual(run.other, []);
  });

  for (let seed = SEED; seed < SEED + 8; seed++) {
    it(`survives changes of leader in the middle of proposals (seed ${seed})`, async () => {
      const cluster = await TestCluster.of(3, seed);
      const run = load(cluster, 20, 40);
      const random = Prng.fromSeed(seed);
      for (let i = 0; i < 4; i++) {
        await cluster.world.pass(5 + random.below(40));
        const leader = await cluster.ready();
        const to = 1 + (leader.raftId % 3);
        assert.equal(await cluster.world.settled(leader.transferLeadership(to)), null);
      }
      await cluster.world.settled(run.done, 60_000);
      await cluster.converged();
      check(cluster, run, 20);
      assert.equal(run.unknown.size, 0, "what was certainly lost is proposed again by itself");
      assert.deepEqual(run.other, []);
    });

    it(`survives leaders that are cut off and come back (seed ${seed})`, async () => {
      const cluster = await TestCluster.of(3, seed);
      const run = load(cluster, 20, 40);
      const random = Prng.fromSeed(seed + 100);
      for (let i = 0; i < 3; i++) {
        await cluster.world.pass(5 + random.below(60));
        const { raftId } = await cluster.ready();
        for (const id of [1, 2, 3]) if (id !== raftId) cluster.network.cut(raftId, id, random.below(2) === 0);
        await cluster.world.pass(random.below(1_500));
        cluster.network.heal();
      }
      await cluster.world.settled(run.done, 60_000);
      await cluster.converged();
      check(cluster, run, 20);
      assert.deepEqual(run.other, []);
    });

    it(`keeps every acknowledged command over crashes with loss of unsynced data (seed ${seed})`, async () => {
      const cluster = await TestCluster.of(3, seed, { proposeTimeoutMs: 3_000 });
      const random = Prng.fromSeed(seed + 200);
      const leader = await cluster.ready();
      const run = { acked: new Map<string, number>(), unknown: new Map<string, number>() };
      const note = (key: string) => (result: { error?: unknown }) => {
        const into = result.error ? run.unknown : run.acked;
        into.set(key, (into.get(key) ?? 0) + 1);
      };
      for (let i = 0; i < 400; i++) void leader.propose(storeKey(`k${i % 20}`)).then(note(`k${i % 20}`));
      await cluster.world.pass(random.below(12));
      for (const id of [1, 2, 3]) cluster.crash(id);
      const acked = new Map(run.acked);
      for (const id of [1, 2, 3]) await cluster.start(id);
      await cluster.ready();
      await cluster.converged();
      const versions = cluster.running.map((r) =>
        Array.from({ length: 20 }, (_, i) => versionOf(r, `k${i}`)),
      );
      for (let i = 0; i < 20; i++) {
        const version = versions[0]?.[i] ?? 0;
        assert.ok(version >= (acked.get(`k${i}`) ?? 0) && version <= 20, `k${i} is stored ${version} times`);
        assert.ok(
          versions.every((v) => v[i] === version),
          "all members agree",
        );
      }
    });
  }

  it("answers OUTCOME_UNKNOWN only at the deadline, when the leader that has the command is cut off", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    for (const id of [1, 2, 3]) if (id !== leader.raftId) cluster.network.cut(leader.raftId, id, true);
    const deadlineMs = cluster.world.clock.monotonicMs() + 200;
    const result = await cluster.world.settled(leader.propose(storeKey("x"), { deadlineMs }));
    assert.equal(result.error?.code, ErrorCode.OUTCOME_UNKNOWN);
    assert.ok(cluster.world.clock.monotonicMs() >= deadlineMs);
  });

  it("never shows a read something older than what was acknowledged, across changes of leader", async () => {
    const cluster = await TestCluster.of(3, SEED);
    for (let i = 1; i <= 12; i++) {
      const writer = cluster.running[i % 3] as (typeof cluster.running)[number];
      const result = await cluster.world.settled(writer.propose(storeKey("r")));
      assert.equal(result.error, undefined);
      const leader = await cluster.ready();
      const moving = i % 3 === 0 ? leader.transferLeadership(1 + (leader.raftId % 3)) : null;
      await Promise.all(
        cluster.running
          .map(async (reader) => {
            await reader.readBarrier();
            assert.ok(versionOf(reader, "r") >= i, `read after write ${i} saw ${versionOf(reader, "r")}`);
          })
          .map((read) => cluster.world.settled(read)),
      );
      if (moving !== null) await cluster.world.settled(moving);
    }
  });

  it("refuses more than it can hold with OVERLOADED, and serves again afterwards", async () => {
    const cluster = await TestCluster.of(3, SEED, { pendingProposalsMax: 100 });
    const leader = await cluster.ready();
    const results = await cluster.world.settled(
      Promise.all(Array.from({ length: 150 }, () => leader.propose(storeKey("o")))),
    );
    assert.equal(results.filter((r) => r.error?.code === ErrorCode.OVERLOADED).length, 50);
    assert.equal((await cluster.world.settled(leader.propose(storeKey("o")))).error, undefined);
    assert.equal(versionOf(leader, "o"), 101);
  });
});
