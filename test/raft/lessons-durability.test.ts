import assert from "node:assert/strict";
import {
  type DurableState,
  Entry,
  EntryKind,
  foundingState,
  InvariantError,
  Message,
  MessageKind,
  type SnapshotMeta,
} from "../../src/raft/index.js";
import { bytes, Cluster, TestNode, testOptions, voters } from "./support/cluster.js";

function entry(term: number, index: number): Entry {
  return new Entry(term, index, EntryKind.Normal, new Uint8Array(0));
}

/** An append from leader 2 to member 1. */
function append(term: number, previous: number, previousTerm: number, terms: number[], commit = 1): Message {
  const message = new Message(MessageKind.Append, 2, 1, term);
  message.index = previous;
  message.logTerm = previousTerm;
  message.entries = terms.map((t, i) => entry(t, previous + 1 + i));
  message.commit = commit;
  return message;
}

function follower(): TestNode {
  return new TestNode(testOptions(1), foundingState(voters(1, 2, 3)));
}

describe("raft lessons: durability and recovery", () => {
  it("L20: one member alone commits only what its disk has", () => {
    const cluster = new Cluster([1], () => ({ preVote: false }));
    const node = cluster.node(1);
    node.member.campaign();
    node.turn(true);
    assert.equal(node.core.role, "candidate");
    node.sync();
    assert.equal(node.core.role, "leader");
    node.turn(true);
    node.sync();
    node.member.propose([bytes("a")]);
    node.turn(true);
    const before = node.core.log.committed;
    assert.ok(before < node.core.log.last);
    node.sync();
    assert.equal(node.core.log.committed, node.core.log.last);
  });

  it("L20: the leader's disk is one among others: two followers commit without it, and it applies when it has the entry", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const leader = cluster.node(1);
    leader.member.propose([bytes("a")]);
    const sent = leader.turn(true);
    for (const message of sent) cluster.node(message.to).member.step(message);
    for (const id of [2, 3]) for (const message of cluster.node(id).turn()) leader.member.step(message);
    assert.equal(leader.core.log.committed, 3);
    leader.turn(true);
    assert.equal(leader.appliedIndex, 2);
    leader.sync();
    leader.turn();
    assert.equal(leader.appliedIndex, 3);
  });

  it("L21: acknowledgements leave with the batch that makes them true", () => {
    const node = follower();
    node.member.step(append(2, 1, 1, [2]));
    const effects = node.member.drain();
    assert.deepEqual(effects.messages, []);
    assert.deepEqual(
      effects.persist?.after.map((m) => [m.kind, m.index]),
      [[MessageKind.AppendResponse, 2]],
    );
    assert.equal(effects.persist?.mustSync, true);
  });

  it("votes are asked for only when the log that they advertise is durable", () => {
    const node = follower();
    node.member.step(append(2, 1, 1, [2, 2]));
    node.turn(true);
    for (let i = 0; i < 10; i++) node.member.tick();
    assert.deepEqual(node.turn(true), []);
    const asked = node.sync().filter((m) => m.kind === MessageKind.PreVote);
    assert.deepEqual(
      asked.map((m) => m.index),
      [3, 3],
    );
  });

  it("L25: the stored commit index is a hint: not believed beyond the log, and not needed", () => {
    const founding = foundingState(voters(1, 2, 3));
    const entries = [entry(2, 2), entry(2, 3)];
    const restore = (commit: number): number => {
      const durable: DurableState = { ...founding, hardState: { term: 2, vote: 0, commit }, entries };
      return new TestNode(testOptions(1), durable).core.log.committed;
    };
    assert.deepEqual([restore(9), restore(2), restore(0)], [3, 2, 1]);
  });

  it("a state machine ahead of its log ends the node", () => {
    const founding = foundingState(voters(1, 2, 3));
    assert.throws(() => new TestNode(testOptions(1), { ...founding, appliedIndex: 5 }), InvariantError);
  });

  it("L26: a snapshot at or below commit is answered with commit and installs nothing", () => {
    const node = follower();
    node.member.step(append(2, 1, 1, [2, 2, 2], 4));
    node.turn();
    const message = new Message(MessageKind.Snapshot, 2, 1, 2);
    message.snapshot = { index: 3, term: 2, confState: voters(1, 2, 3) };
    node.member.step(message);
    const effects = node.member.drain();
    assert.equal(effects.persist?.snapshot ?? null, null);
    assert.deepEqual(
      effects.persist?.after.map((m) => m.index),
      [4],
    );
  });

  it("L26: a snapshot moves commit and is acknowledged with its batch; nothing is applied and nobody campaigns before", () => {
    const node = follower();
    const meta: SnapshotMeta = { index: 9, term: 2, confState: voters(1, 2, 3), confIndex: 1 };
    const message = new Message(MessageKind.Snapshot, 2, 1, 2);
    message.snapshot = meta;
    node.member.step(message);
    node.member.step(append(2, 9, 2, [2], 10));
    const effects = node.member.drain();
    assert.deepEqual(effects.persist?.snapshot, meta);
    assert.equal(effects.persist?.mustSync, true);
    assert.deepEqual(effects.messages, []);
    assert.deepEqual(effects.committed, []);
    node.member.campaign();
    assert.equal(node.core.role, "follower");
    node.member.persisted(effects.persist?.seq ?? 0);
    assert.equal(node.core.log.applied, 9);
    assert.deepEqual(
      node.member.drain().committed.map((e) => e.index),
      [10],
    );
  });

  it("L26: a snapshot that the log agrees with only moves commit", () => {
    const node = follower();
    node.member.step(append(2, 1, 1, [2, 2, 2], 1));
    node.turn();
    const message = new Message(MessageKind.Snapshot, 2, 1, 2);
    message.snapshot = { index: 3, term: 2, confState: voters(1, 2, 3) };
    node.member.step(message);
    assert.deepEqual([node.core.log.committed, node.core.log.last, node.core.log.snapshot], [3, 4, null]);
  });

  it("L27: the end of an old write does not confirm entries that came back with the same index and term", () => {
    const node = follower();
    node.member.step(append(2, 1, 1, [2, 2], 1));
    node.turn(true);
    node.member.step(append(3, 1, 1, [3], 1));
    node.turn(true);
    node.member.step(append(4, 1, 1, [2, 2], 1));
    node.turn(true);
    assert.deepEqual(
      node.pending.map((b) => b.seq),
      [1, 2, 3],
    );
    node.sync(1);
    assert.equal(node.core.log.durable, 1);
    node.sync(1);
    assert.equal(node.core.log.durable, 1);
    node.sync(1);
    assert.equal(node.core.log.durable, 3);
  });

  it("L28: batches become durable in order, each once", () => {
    const node = follower();
    node.member.step(append(2, 1, 1, [2], 1));
    node.turn(true);
    node.member.persisted(1);
    assert.throws(() => node.member.persisted(1), InvariantError);
    assert.throws(() => node.member.persisted(2), InvariantError);
  });

  it("a drain right after a drain has nothing to say", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    cluster.node(1).member.propose([bytes("a")]);
    cluster.node(1).member.drain();
    assert.equal(cluster.node(1).member.hasEffects(), false);
    const again = cluster.node(1).member.drain();
    const empty = { role: null, messages: [], persist: null, committed: [], reads: [], failedReads: [] };
    assert.deepEqual(again, { ...empty, transferEnded: null, snapshotTo: [] });
  });

  it("commit beyond the log, as after a disk that lost acknowledged entries, ends the node", () => {
    const node = follower();
    const heartbeat = new Message(MessageKind.Heartbeat, 2, 1, 2);
    heartbeat.commit = 7;
    assert.throws(() => node.member.step(heartbeat), InvariantError);
  });

  it("application is confirmed only for what was handed out", () => {
    const node = follower();
    assert.throws(() => node.member.applied(5), InvariantError);
  });

  it("an append that is no log is refused", () => {
    const gap = append(2, 1, 1, [2, 2]);
    gap.entries = [entry(2, 2), entry(2, 4)];
    assert.throws(() => follower().member.step(gap), InvariantError);
    assert.throws(() => follower().member.step(append(2, 1, 1, [2, 1])), InvariantError);
    assert.throws(() => follower().member.step(append(2, 1, 1, [3])), InvariantError);
  });
});
