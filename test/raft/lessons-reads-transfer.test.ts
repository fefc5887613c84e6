import assert from "node:assert/strict";
import { type Message, MessageKind, parseChanges, type RaftOptions } from "../../src/raft/index.js";
import { bytes, Cluster } from "./support/cluster.js";

/** With leases, members refuse votes for one election timeout after they start. */
function afterGrace(cluster: Cluster): Cluster {
  for (const node of cluster.nodes.values()) node.core.graceTicks = 0;
  return cluster;
}

describe("raft lessons: reads", () => {
  it("L39: a read waits for an entry of the own term, in a group of one too", () => {
    const cluster = new Cluster([1], () => ({ preVote: false }));
    const node = cluster.node(1);
    node.member.campaign();
    node.turn(true);
    node.sync();
    assert.equal(node.core.role, "leader");
    node.member.readIndex(1);
    node.turn(true);
    assert.deepEqual(node.reads, []);
    node.sync();
    node.turn();
    assert.deepEqual(node.reads, [{ request: 1, index: 2 }]);
  });

  it("L39: reads of a leader that steps down fail with a reason, those of its followers too", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    cluster.node(2).member.readIndex(5);
    for (const message of cluster.node(2).turn()) cluster.node(1).member.step(message);
    cluster.node(1).member.readIndex(6);
    const higher = cluster.node(3).core.message(MessageKind.Heartbeat, 1);
    higher.term = 9;
    cluster.node(1).member.step(higher);
    for (const message of cluster.node(1).turn()) if (message.to === 2) cluster.node(2).member.step(message);
    cluster.node(2).turn();
    assert.deepEqual(cluster.node(1).failedReads, [{ request: 6, reason: "leadership-lost" }]);
    assert.deepEqual(cluster.node(2).failedReads, [{ request: 5, reason: "leadership-lost" }]);
  });

  it("a forwarded read that gets no answer fails at its deadline; without a leader at once", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.node(2).member.readIndex(1);
    cluster.node(2).turn();
    assert.deepEqual(cluster.node(2).failedReads, [{ request: 1, reason: "no-leader" }]);
    cluster.elect(1);
    cluster.drop = (m) => m.kind === MessageKind.ReadIndex;
    cluster.node(2).member.readIndex(2);
    cluster.tick(12);
    assert.deepEqual(cluster.node(2).failedReads.at(-1), { request: 2, reason: "deadline" });
  });

  it("L40: echoes of an earlier round confirm nothing that came later", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const leader = cluster.node(1);
    leader.member.readIndex(1);
    const heartbeats = leader.turn().filter((m) => m.kind === MessageKind.Heartbeat);
    const echoes = heartbeats.flatMap((m) => {
      cluster.node(m.to).member.step(m);
      return cluster.node(m.to).turn();
    });
    for (const echo of echoes) leader.member.step(echo);
    leader.turn();
    assert.deepEqual(
      leader.reads.map((r) => r.request),
      [1],
    );
    leader.member.readIndex(1);
    leader.turn();
    for (const echo of echoes) leader.member.step(echo);
    leader.turn();
    assert.equal(leader.reads.length, 1);
    cluster.tick(1);
    assert.equal(leader.reads.length, 2);
  });

  it("all reads of a turn share one round of heartbeats", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    for (let i = 0; i < 100; i++) cluster.node(1).member.readIndex(i);
    const sent = cluster.node(1).turn();
    assert.equal(sent.filter((m) => m.kind === MessageKind.Heartbeat).length, 2);
    for (const message of sent) cluster.node(message.to).member.step(message);
    cluster.settle();
    assert.equal(cluster.node(1).reads.length, 100);
  });

  it("L41: a lease runs from the send time of a round that a quorum has answered", () => {
    let now = 0;
    const lease: Partial<RaftOptions> = { readMode: "lease", lease: { nowMs: () => now, durationMs: 100 } };
    const cluster = afterGrace(new Cluster([1, 2, 3], () => lease));
    cluster.elect(1);
    const leader = cluster.node(1);
    now = 1000;
    leader.member.tick();
    const heartbeats = leader.turn();
    now = 1080;
    for (const m of heartbeats) cluster.node(m.to).member.step(m);
    for (const id of [2, 3]) for (const m of cluster.node(id).turn()) leader.member.step(m);
    const local = (): boolean => {
      const before = leader.reads.length;
      leader.member.readIndex(1);
      leader.turn();
      return leader.reads.length > before;
    };
    now = 1099;
    assert.equal(local(), true);
    now = 1100;
    assert.equal(local(), false);
  });

  it("L38: a transfer ends the lease", () => {
    let now = 0;
    const lease: Partial<RaftOptions> = { readMode: "lease", lease: { nowMs: () => now, durationMs: 100 } };
    const cluster = afterGrace(new Cluster([1, 2, 3], () => lease));
    cluster.elect(1);
    cluster.tick(2);
    cluster.drop = () => true;
    const leader = cluster.node(1);
    leader.member.readIndex(1);
    leader.turn();
    assert.equal(leader.reads.length, 1);
    leader.member.transferLeader(2);
    leader.member.readIndex(2);
    leader.turn();
    assert.equal(leader.reads.length, 1);
    now++;
  });

  it("L38: an order to campaign that may still arrive keeps the lease away, past the transfer's deadline", () => {
    let now = 0;
    const lease: Partial<RaftOptions> = { readMode: "lease", lease: { nowMs: () => now, durationMs: 100 } };
    const cluster = afterGrace(new Cluster([1, 2, 3], () => lease));
    cluster.elect(1);
    const late: Message[] = [];
    cluster.drop = (m) => {
      if (m.kind === MessageKind.TimeoutNow) late.push(m);
      return m.kind === MessageKind.TimeoutNow;
    };
    const leader = cluster.node(1);
    leader.member.transferLeader(2);
    cluster.settle();
    assert.equal(late.length, 1);
    // Rounds of heartbeats are answered while the order is under way, and the transfer is given up.
    for (let i = 0; i < 10; i++) {
      now += 5;
      cluster.tick(1, [1]);
    }
    assert.equal(leader.member.status().transferTarget, 0);
    // Now it arrives, and the old leader hears nobody any more: its followers have voted past their promise to it.
    cluster.drop = (m) => m.to === 1;
    cluster.node(2).member.step(late[0] as Message);
    cluster.settle();
    assert.equal(cluster.node(2).core.role, "leader");
    leader.member.readIndex(1);
    leader.turn();
    assert.deepEqual(leader.reads, []);
  });

  it("with leases, a member that has restarted refuses votes for one election timeout", () => {
    const lease: Partial<RaftOptions> = { readMode: "lease", lease: { nowMs: () => 0, durationMs: 100 } };
    const random = (id: number) => () => (id === 3 ? 0 : 9);
    const cluster = afterGrace(
      new Cluster([1, 2, 3], (id) => ({ ...lease, preVote: false, random: random(id) })),
    );
    cluster.elect(1);
    cluster.drop = (m) => m.to === 1 || m.from === 1;
    cluster.node(2).restart();
    cluster.tick(10, [3]);
    assert.equal(cluster.node(3).core.role, "candidate");
    cluster.tick(10, [2]);
    assert.equal(cluster.node(3).core.role, "candidate");
    cluster.tick(10, [3]);
    assert.equal(cluster.node(3).core.role, "leader");
  });

  it("with leases, a member that is told to campaign does not while it hears a leader: its vote is promised", () => {
    let now = 0;
    const lease: Partial<RaftOptions> = { readMode: "lease", lease: { nowMs: () => now, durationMs: 100 } };
    const cluster = afterGrace(new Cluster([1, 2, 3], () => lease));
    cluster.elect(1);
    // The leader and member 2 hear each other, member 3 has heard nobody for longer than any promise of its own.
    cluster.drop = (m) => m.to === 3 || m.from === 3;
    for (; now < 120; now += 10) cluster.tick();
    // Then the leader is alone, and its lease rests on member 2.
    cluster.drop = (m) => m.to === 1 || m.from === 1;
    const leader = cluster.node(1);
    const [second, third] = [cluster.node(2), cluster.node(3)];
    second.member.campaign();
    cluster.settle();
    leader.member.readIndex(1);
    leader.turn();
    assert.equal(leader.reads.length, 1, "the lease holds");
    assert.deepEqual([second.core.role, third.core.role === "leader"], ["follower", false]);
    // Without a promise to anybody it may.
    now += 100;
    cluster.tick(10, [2]);
    second.member.campaign();
    cluster.settle();
    assert.equal(second.core.role, "leader");
  });

  it("with leases, nobody campaigns on somebody's word just after it has started", () => {
    const lease: Partial<RaftOptions> = { readMode: "lease", lease: { nowMs: () => 0, durationMs: 100 } };
    const cluster = new Cluster([1, 2, 3], () => lease);
    cluster.node(1).member.campaign();
    cluster.settle();
    assert.equal(cluster.node(1).core.role, "follower");
  });

  it("leases are refused where the settings do not carry them", () => {
    assert.throws(() => new Cluster([1], () => ({ readMode: "lease" })), /lease\.nowMs/);
    const lease = { nowMs: () => 0, durationMs: 100 };
    assert.throws(
      () => new Cluster([1], () => ({ readMode: "lease", lease, checkQuorum: false })),
      /checkQuorum/,
    );
  });
});

describe("raft lessons: transfer", () => {
  it("L36: a transfer dies with the leadership: re-elected, the member takes proposals", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    cluster.drop = (m) => m.kind === MessageKind.TimeoutNow;
    cluster.node(1).member.transferLeader(2);
    cluster.settle();
    const higher = cluster.node(3).core.message(MessageKind.Heartbeat, 1);
    higher.term = 9;
    cluster.node(1).member.step(higher);
    cluster.drop = () => false;
    cluster.tick(40, [1]);
    assert.equal(cluster.node(1).core.role, "leader");
    assert.equal(cluster.node(1).member.propose([bytes("a")]).ok, true);
    assert.equal(cluster.node(1).transfers.length, 1);
    assert.notEqual(cluster.node(1).transfers[0]?.reason, null);
  });

  it("L37: a transfer that does not happen ends within an election timeout, and says why", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    cluster.drop = (m) => m.kind === MessageKind.TimeoutNow;
    cluster.node(1).member.transferLeader(2);
    cluster.tick(11);
    assert.deepEqual(cluster.node(1).transfers, [{ target: 2, reason: "deadline" }]);
    assert.equal(cluster.node(1).member.propose([bytes("a")]).ok, true);
  });

  it("L37: unreachable, refusing and replaced targets end it early", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const leader = cluster.node(1);
    cluster.drop = (m) => m.kind === MessageKind.TimeoutNow;
    leader.member.transferLeader(2);
    leader.member.transferLeader(3);
    leader.turn();
    leader.member.reportUnreachable(3);
    leader.turn();
    assert.deepEqual(leader.transfers, [
      { target: 2, reason: "superseded" },
      { target: 3, reason: "target-unreachable" },
    ]);
    const refusal = cluster.node(2).core.message(MessageKind.TransferLeader, 1);
    refusal.reject = true;
    leader.member.transferLeader(2);
    leader.member.step(refusal);
    leader.turn();
    assert.deepEqual(leader.transfers.at(-1), { target: 2, reason: "target-refused" });
  });

  it("refuses learners, strangers and itself", () => {
    const cluster = new Cluster([1, 2]);
    cluster.add(3);
    assert.equal(cluster.node(2).member.transferLeader(1), "no-leader");
    cluster.elect(1);
    const leader = cluster.node(1);
    leader.member.proposeConfChange({
      transition: 0,
      changes: parseChanges("l3"),
      context: new Uint8Array(0),
    });
    cluster.settle();
    assert.equal(leader.member.transferLeader(3), "target-not-voter");
    assert.equal(leader.member.transferLeader(9), "target-not-voter");
    assert.equal(leader.member.transferLeader(1), "target-is-leader");
  });

  it("L38: the target campaigns at once, without a pre-vote and past everybody's leader", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const kinds: number[] = [];
    cluster.drop = (m) => {
      kinds.push(m.kind);
      return false;
    };
    cluster.node(2).member.transferLeader(3);
    cluster.settle();
    assert.equal(cluster.leader().id, 3);
    assert.ok(!kinds.includes(MessageKind.PreVote));
  });
});

describe("raft lessons: snapshots", () => {
  it("L42: the log behind a snapshot on its way is kept until the peer has it", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const leader = cluster.node(1);
    cluster.drop = (m) => m.to === 3;
    const propose = (count: number): void => {
      for (let i = 0; i < count; i++) leader.member.propose([bytes("x")]);
      cluster.settle();
    };
    propose(5);
    leader.member.compact(leader.core.log.applied);
    cluster.drop = (m) => m.kind === MessageKind.Snapshot;
    cluster.tick(2);
    const pending = leader.core.tracker.get(3)?.pendingSnapshot ?? 0;
    assert.ok(pending > 0);
    propose(5);
    assert.equal(leader.member.compact(leader.core.log.applied), pending);
    leader.member.reportSnapshot(3, false);
    assert.equal(leader.member.compact(leader.core.log.applied), leader.core.log.applied);
    cluster.drop = () => false;
    cluster.tick(4);
    assert.equal(cluster.node(3).core.log.committed, leader.core.log.committed);
  });

  it("no snapshot goes to a peer that has not been heard from, nor one below the compacted log", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.drop = (m) => m.to === 3 || m.from === 3;
    cluster.elect(1);
    const leader = cluster.node(1);
    leader.member.propose([bytes("x")]);
    cluster.settle();
    leader.member.compact(leader.core.log.applied);
    leader.member.tick();
    assert.ok(leader.turn().every((m) => m.kind !== MessageKind.Snapshot));
    leader.member.offerSnapshot({ index: 1, term: 1, confState: leader.conf });
    cluster.drop = () => false;
    cluster.tick(3);
    assert.equal(leader.core.tracker.get(3)?.pendingSnapshot, 0);
  });
});
