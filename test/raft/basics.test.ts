import assert from "node:assert/strict";
import { ConfChangeKind, ConfTransition } from "../../src/raft/index.js";
import { bytes, Cluster } from "./support/cluster.js";

function texts(cluster: Cluster, id: number): string[] {
  return cluster
    .node(id)
    .applied.filter((e) => e.kind === 0 && e.data.length > 0)
    .map((e) => new TextDecoder().decode(e.data));
}

describe("raft: a group of members", () => {
  it("elects, replicates and applies on all members", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const result = cluster.node(1).member.propose([bytes("a"), bytes("b")]);
    assert.deepEqual(result, { ok: true, index: 3, term: 2 });
    cluster.settle();
    cluster.tick();
    for (const id of [1, 2, 3]) assert.deepEqual(texts(cluster, id), ["a", "b"]);
  });

  it("elects the member whose timeout is the shortest", () => {
    const cluster = new Cluster([1, 2, 3], (id) => ({ random: () => 5 - id }));
    cluster.tick(15);
    assert.equal(cluster.leader().id, 3);
  });

  it("answers reads at the leader and at a follower, after a round of heartbeats", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    cluster.node(1).member.readIndex(7);
    cluster.node(2).member.readIndex(8);
    cluster.settle();
    assert.deepEqual(cluster.node(1).reads, [{ request: 7, index: 2 }]);
    assert.deepEqual(cluster.node(2).reads, [{ request: 8, index: 2 }]);
  });

  it("goes on after all members restart", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    cluster.node(1).member.propose([bytes("a")]);
    cluster.settle();
    for (const node of cluster.nodes.values()) node.restart();
    cluster.elect(2);
    cluster.node(2).member.propose([bytes("b")]);
    cluster.settle();
    for (const id of [1, 2, 3]) assert.deepEqual(texts(cluster, id), ["a", "b"]);
  });

  it("hands the leadership over", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    assert.equal(cluster.node(1).member.transferLeader(3), null);
    assert.deepEqual(cluster.node(1).member.propose([bytes("x")]), {
      ok: false,
      reason: "transfer-in-progress",
      leader: 1,
    });
    cluster.settle();
    assert.equal(cluster.leader().id, 3);
    assert.deepEqual(cluster.node(1).transfers, [{ target: 3, reason: null }]);
  });

  it("brings a new member up by a snapshot when the log is compacted", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    for (const text of ["a", "b", "c"]) {
      cluster.node(1).member.propose([bytes(text)]);
      cluster.settle();
    }
    assert.equal(cluster.node(1).member.compact(3), 3);
    cluster.add(4);
    const result = cluster.node(1).member.proposeConfChange({
      transition: ConfTransition.Auto,
      changes: [{ kind: ConfChangeKind.AddLearner, id: 4 }],
      context: new Uint8Array(0),
    });
    assert.equal(result.ok, true);
    cluster.settle();
    cluster.tick(2);
    const { last } = cluster.node(1).core.log;
    assert.equal(cluster.node(4).core.log.committed, last);
    assert.deepEqual(cluster.node(4).member.status().config.learners, [4]);
  });

  it("replaces two members through a joint configuration and leaves it by itself", () => {
    const cluster = new Cluster([1, 2, 3]);
    for (const id of [4, 5]) cluster.add(id);
    cluster.elect(1);
    cluster.node(1).member.proposeConfChange({
      transition: ConfTransition.Auto,
      changes: [
        { kind: ConfChangeKind.AddVoter, id: 4 },
        { kind: ConfChangeKind.AddVoter, id: 5 },
        { kind: ConfChangeKind.RemoveNode, id: 2 },
        { kind: ConfChangeKind.RemoveNode, id: 3 },
      ],
      context: new Uint8Array(0),
    });
    cluster.settle();
    cluster.tick(3);
    for (const id of [1, 4, 5]) {
      assert.deepEqual(cluster.node(id).conf.voters, [1, 4, 5]);
      assert.deepEqual(cluster.node(id).conf.votersOutgoing, []);
    }
  });
});
