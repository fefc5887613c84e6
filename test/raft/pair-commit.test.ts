import assert from "node:assert/strict";
import { ConfTransition, type Message, MessageKind, parseChanges } from "../../src/raft/index.js";
import { bytes, Cluster, type TestNode, voters } from "./support/cluster.js";

/** Member 1 leads, everything before is committed, applied and durable everywhere. */
function elected(ids: readonly number[] = [1, 2, 3]): Cluster {
  const cluster = new Cluster(ids);
  cluster.elect(1);
  return cluster;
}

/** Proposes at the leader for a client of `peer`; nothing is synced yet. Answers the appends. */
function propose(cluster: Cluster, peer: number): { readonly index: number; readonly appends: Message[] } {
  const leader = cluster.node(1);
  const result = leader.member.propose([bytes("x")]);
  assert.ok(result.ok);
  leader.member.awaitedBy(peer, result.index);
  return { index: result.index, appends: leader.turn(true) };
}

const durableOf = (messages: readonly Message[]): Message[] =>
  messages.filter(({ kind }) => kind === MessageKind.Durable);

function deliver(cluster: Cluster, messages: readonly Message[], to: number): void {
  for (const message of messages) if (message.to === to) cluster.node(to).member.step(message);
}

/** The follower takes the append, and the leader's word that its disk has it. */
function told(cluster: Cluster, peer: number): { readonly index: number; readonly follower: TestNode } {
  const { index, appends } = propose(cluster, peer);
  const follower = cluster.node(peer);
  deliver(cluster, appends, peer);
  follower.turn(true);
  const leader = cluster.node(1);
  leader.sync();
  deliver(cluster, leader.turn(true), peer);
  return { index, follower };
}

describe("raft: commit by two of three", () => {
  it("a follower commits what its own disk and its leader's have, before the leader knows", () => {
    const cluster = elected();
    const { index, follower } = told(cluster, 2);
    assert.ok(follower.core.log.committed < index, "its own disk does not have it yet");
    const answers = follower.sync();
    follower.turn();
    assert.equal(follower.core.log.committed, index);
    assert.equal(follower.appliedIndex, index);
    assert.ok(cluster.node(1).core.log.committed < index, "the leader has not heard of the follower's disk");
    deliver(cluster, answers, 1);
    assert.equal(cluster.node(1).core.log.committed, index);
  });

  it("the leader speaks only of what its disk has, only to who waits, and only once", () => {
    const cluster = elected();
    const leader = cluster.node(1);
    const { index, appends } = propose(cluster, 2);
    assert.deepEqual(durableOf(appends), []);
    leader.sync();
    const said = durableOf(leader.turn());
    assert.deepEqual(
      said.map((m) => [m.to, m.index, m.session]),
      [[2, index, leader.core.confIndex]],
    );
    assert.deepEqual(durableOf(leader.turn()), []);
  });

  it("says nothing of what is committed already", () => {
    const cluster = elected();
    const { appends } = propose(cluster, 2);
    for (const peer of [2, 3]) {
      deliver(cluster, appends, peer);
      deliver(cluster, cluster.node(peer).turn(), 1);
    }
    const leader = cluster.node(1);
    const before = durableOf(leader.turn(true));
    leader.sync();
    assert.deepEqual([...before, ...durableOf(leader.turn())], []);
  });

  it("a read at the leader waits for what a follower may have answered for", () => {
    const cluster = elected();
    const leader = cluster.node(1);
    const { index, follower } = told(cluster, 2);
    follower.sync();
    follower.turn();
    assert.ok(leader.core.log.committed < index);
    leader.member.readIndex(9);
    cluster.drop = (m) => m.kind === MessageKind.AppendResponse && m.from === 2;
    cluster.settle();
    assert.deepEqual(leader.reads.at(-1), { request: 9, index });
  });

  it("not by the leader's disk alone when the entry is of an earlier term", () => {
    const cluster = elected();
    // An entry of the first term that nobody but its leader and member 2 has.
    cluster.drop = (m) => m.to === 3 || m.kind === MessageKind.AppendResponse;
    const old = cluster.node(1).member.propose([bytes("old")]);
    assert.ok(old.ok);
    cluster.settle();
    cluster.drop = () => false;
    const follower = cluster.node(2);
    assert.equal(follower.core.log.last, old.index);
    const durable = cluster.node(1).core.message(MessageKind.Durable, 2);
    Object.assign(durable, {
      term: follower.core.term + 1,
      index: old.index + 5,
      session: follower.core.confIndex,
    });
    follower.member.step(durable);
    follower.turn();
    assert.ok(follower.core.log.committed < old.index);
  });

  it("not under another configuration than the leader's", () => {
    const cluster = elected();
    const { index, follower } = told(cluster, 2);
    follower.core.confIndex++;
    follower.sync();
    follower.turn();
    assert.ok(follower.core.log.committed < index);
  });

  it("not over a change of members that is on its way through the log", () => {
    const cluster = elected();
    const leader = cluster.node(1);
    const change = {
      transition: ConfTransition.Auto,
      changes: parseChanges("l4"),
      context: new Uint8Array(0),
    };
    assert.ok(leader.member.proposeConfChange(change).ok);
    const { index, follower } = told(cluster, 2);
    follower.sync();
    follower.turn();
    assert.equal(follower.core.log.last, index);
    assert.ok(follower.core.log.committed < index - 1, "not even the change");
  });

  it("says whether the two are a majority", () => {
    for (const [ids, pair] of [
      [[1, 2, 3], true],
      [[1, 2, 3, 4, 5], false],
    ] as const) {
      const { member } = elected(ids).node(1);
      assert.equal(member.awaitedBy(2, 1), pair, `${ids.length} voters`);
    }
    assert.equal(elected().node(2).member.awaitedBy(1, 1), false, "a follower decides nothing");
  });

  it("not in larger groups, nor by a learner", () => {
    const five = elected([1, 2, 3, 4, 5]);
    assert.deepEqual(durableOf(synced(five, propose(five, 2).appends)), []);
    const conf = { ...voters(1, 2), learners: [3] };
    const withLearner = new Cluster([1, 2, 3], () => ({}), conf);
    withLearner.elect(1);
    assert.deepEqual(durableOf(synced(withLearner, propose(withLearner, 3).appends)), []);
  });

  it("what the leader said ends with its term", () => {
    const cluster = elected();
    const { index, follower } = told(cluster, 2);
    follower.core.becomeFollower(follower.core.term + 1, 0);
    follower.sync();
    follower.turn();
    assert.ok(follower.core.log.committed < index);
  });
});

function synced(cluster: Cluster, before: readonly Message[]): Message[] {
  const leader = cluster.node(1);
  leader.sync();
  return [...before, ...leader.turn()];
}
