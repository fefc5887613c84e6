import assert from "node:assert/strict";
import { ErrorCode } from "../../src/wire/errors.js";
import { MessageKind } from "../../src/raft/index.js";
import type { v1 } from "../../src/wire/index.js";
import { keyMachine } from "./key-machine.js";
import { storeKey, TestCluster, versionOf } from "./cluster.js";

const SEED = Number(process.env["SEED"] ?? 1);

describe("replica", () => {
  it("elects a leader, initialises the cluster once, and answers a proposal with what it did", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    const result = await cluster.world.settled(leader.propose(storeKey("a", "1")));
    assert.equal(result.error, undefined);
    assert.equal(result.key?.version, 1);
    assert.equal(leader.state.cluster().clusterId, "test");
    await cluster.converged();
    for (const replica of cluster.running) assert.equal(versionOf(replica, "a"), 1);
  });

  it("passes a follower's proposals on to the leader and answers them there", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const follower = cluster.follower();
    const results = await cluster.world.settled(
      Promise.all(Array.from({ length: 50 }, (_, i) => follower.propose(storeKey(`k${i % 5}`)))),
    );
    assert.ok(results.every((r) => !r.error));
    await cluster.converged();
    for (const replica of cluster.running)
      for (let i = 0; i < 5; i++) assert.equal(versionOf(replica, `k${i}`), 10);
  });

  it("tells the others of a commit before it applies it, and applies it all the same when they are deaf", async () => {
    const cluster = await TestCluster.of(3, SEED, { commitHoldMs: 0 });
    const leader = await cluster.ready();
    const { network, world } = cluster;
    let appliedWhenTold = -1;
    const index = leader.appliedIndex + 1;
    network.copies = (from, to, frame) => {
      const tells = frame.raft?.messages?.some((m) => Number(m.commit ?? 0) >= index) === true;
      if (from === leader.raftId && tells && appliedWhenTold < 0) appliedWhenTold = leader.appliedIndex;
      return from === leader.raftId && tells ? 0 : 1;
    };
    const transport = Reflect.get(leader, "transport") as { flush: () => void };
    let flushedBetween = false;
    transport.flush = () => {
      flushedBetween ||= appliedWhenTold >= 0 && leader.appliedIndex < index;
    };
    const result = await world.settled(leader.propose(storeKey("first")));
    assert.equal(result.error, undefined);
    assert.equal(appliedWhenTold, index - 1);
    assert.ok(flushedBetween, "nothing left between the news and the applying");
  });

  it("tells a follower that waits for its disk in the disk's callback, not in a later turn", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    const follower = cluster.follower();
    const steps: string[] = [];
    cluster.network.copies = (from, to, frame) => {
      const tells = frame.raft?.messages?.some((m) => m.kind === MessageKind.Durable) === true;
      if (from === leader.raftId && to === follower.raftId && tells) steps.push("told");
      return 1;
    };
    const raft = Reflect.get(leader, "raft") as { persisted(seq: number): void };
    const turns = Reflect.get(leader, "turns") as { schedule(): void };
    const [persisted, schedule] = [raft.persisted.bind(raft), turns.schedule.bind(turns)];
    raft.persisted = (seq) => {
      steps.push("durable");
      persisted(seq);
    };
    turns.schedule = () => {
      if (steps.at(-1) === "durable") steps.push("left to a later turn");
      schedule();
    };
    const result = await cluster.world.settled(follower.propose(storeKey("passed on")));
    assert.equal(result.error, undefined);
    assert.deepEqual(steps.slice(0, 2), ["durable", "told"]);
  });

  it("keeps an entry that one follower waits for from the other, but with its commit not while a call is parked", async () => {
    const state = { parked: [] as v1.IPendingRecord[] };
    const machine = () => Object.assign(keyMachine(), { pending: () => state.parked });
    const entryHoldMs = 15;
    const cluster = await TestCluster.of(3, SEED, { entryHoldMs }, machine);
    const leader = await cluster.ready();
    const follower = cluster.follower();
    const third = cluster.running.find((r) => r !== leader && r !== follower);
    for (const parked of [[], [{ id: 1 }]]) {
      await cluster.converged();
      state.parked = parked;
      const result = await cluster.world.settled(follower.propose(storeKey("passed on")));
      assert.equal(result.error, undefined);
      await cluster.world.pass(5);
      const has = (third?.appliedIndex ?? 0) >= (result.revision ?? Infinity);
      assert.equal(has, parked.length > 0, `with ${parked.length} calls parked`);
      await cluster.world.pass(entryHoldMs);
      assert.ok((third?.appliedIndex ?? 0) >= (result.revision ?? Infinity), "it goes after its time");
    }
  });

  it("reads what was answered before the read began, at any member", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    for (let i = 1; i <= 20; i++) {
      await cluster.world.settled(leader.propose(storeKey("r")));
      const follower = cluster.follower();
      await cluster.world.settled(follower.readBarrier());
      assert.ok(versionOf(follower, "r") >= i, `read ${i} saw ${versionOf(follower, "r")}`);
    }
  });

  it("keeps what was acknowledged when the leader dies, and goes on without a long pause", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    await cluster.world.settled(leader.propose(storeKey("a")));
    const diedAt = cluster.world.clock.monotonicMs();
    cluster.crash(leader.raftId);
    const next = await cluster.ready();
    const pauseMs = cluster.world.clock.monotonicMs() - diedAt;
    assert.ok(pauseMs < 250, `took ${pauseMs} ms although the broken link is a hint`);
    const result = await cluster.world.settled(next.propose(storeKey("a")));
    assert.equal(result.key?.version, 2);
    assert.match(next.status().lastElectionCause, /link to leader \d broke/);
  });

  it("answers NO_QUORUM at the deadline when nobody leads, and DEADLINE is the caller's", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const [a, b] = [1, 2];
    cluster.crash(a);
    cluster.crash(b);
    const last = cluster.replica(3);
    await cluster.world.until("the last one gives up its leader", () => last.leader().leaderId === 0);
    const deadlineMs = cluster.world.clock.monotonicMs() + 500;
    const result = await cluster.world.settled(last.propose(storeKey("x"), { deadlineMs }));
    assert.equal(result.error?.code, ErrorCode.NO_QUORUM);
    await assert.rejects(cluster.world.settled(last.readBarrier(cluster.world.clock.monotonicMs() + 100)), {
      code: ErrorCode.NO_QUORUM,
    });
  });

  it("hands leadership over when it stops, so that the others go on at once", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    await cluster.world.settled(leader.stop());
    cluster.member(leader.raftId).replica = null;
    const left = cluster.running.map((r) => r.leader());
    assert.ok(
      left.some((info) => info.isLeader),
      "nobody leads when stop returns",
    );
  });

  it("restarts from the applied state on disk and replays the rest of the log", async () => {
    const cluster = await TestCluster.of(3, SEED);
    const leader = await cluster.ready();
    for (let i = 0; i < 30; i++) await cluster.world.settled(leader.propose(storeKey(`k${i % 3}`)));
    await cluster.converged();
    for (const id of [1, 2, 3]) cluster.crash(id);
    for (const id of [1, 2, 3]) await cluster.start(id);
    await cluster.ready();
    await cluster.converged();
    for (const replica of cluster.running)
      for (let i = 0; i < 3; i++) assert.equal(versionOf(replica, `k${i}`), 10);
  });
});
