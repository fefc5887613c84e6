import assert from "node:assert/strict";
import {
  type ConfChange,
  ConfTransition,
  EMPTY_CONF_STATE,
  InvariantError,
  Message,
  MessageKind,
  parseChanges,
} from "../../src/raft/index.js";
import { bytes, Cluster } from "./support/cluster.js";

function change(text: string, transition: ConfTransition = ConfTransition.Auto): ConfChange {
  return { transition, changes: parseChanges(text), context: new Uint8Array(0) };
}

/** Timeouts that never tie. */
const spread = (id: number): { random: () => number } => ({ random: () => 2 * id });

describe("raft lessons: membership", () => {
  it("L29: no change before an entry of the own term is committed, and one at a time", () => {
    const cluster = new Cluster([1, 2, 3], () => ({ preVote: false }));
    const leader = cluster.node(1);
    leader.member.campaign();
    leader.turn();
    leader.member.step(new Message(MessageKind.VoteResponse, 2, 1, 2));
    assert.equal(leader.core.role, "leader");
    const refused = { ok: false, reason: "conf-change-pending", leader: 1 };
    assert.deepEqual(leader.member.proposeConfChange(change("l4")), refused);
    cluster.settle();
    cluster.tick(1);
    assert.equal(leader.member.proposeConfChange(change("l4")).ok, true);
    assert.deepEqual(leader.member.proposeConfChange(change("l5")), refused);
    cluster.settle();
    assert.equal(leader.member.proposeConfChange(change("l5")).ok, true);
  });

  it("a refused change leaves the log as it was", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const { last } = cluster.node(1).core.log;
    assert.equal(cluster.node(1).member.proposeConfChange(change("")).ok, false);
    assert.equal(cluster.node(1).core.log.last, last);
  });

  it("compare and swap: a change that names another configuration is refused", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const leader = cluster.node(1);
    const { confIndex } = leader.member.status();
    assert.equal(leader.member.proposeConfChange(change("l4"), confIndex).ok, true);
    cluster.settle();
    const again = leader.member.proposeConfChange(change("l5"), confIndex);
    assert.deepEqual(again, { ok: false, reason: "superseded", leader: 1 });
    assert.equal(leader.member.proposeConfChange(change("l5"), leader.member.status().confIndex).ok, true);
    cluster.settle();
    assert.equal(cluster.node(2).member.status().confIndex, leader.member.status().confIndex);
  });

  it("L30: a joint configuration whose leader dies is left by the next one", () => {
    const cluster = new Cluster([1, 2, 3], spread);
    cluster.add(4, undefined, spread(4));
    cluster.elect(1);
    const leader = cluster.node(1);
    leader.member.proposeConfChange(change("v4 r3"));
    // Everything but the entry that leaves: the old leader is cut off as soon as it has applied the joint one.
    cluster.drop = (m) =>
      m.kind === MessageKind.Append &&
      m.from === 1 &&
      m.entries.some((e) => e.kind !== 0 && e.data.length === 0);
    cluster.settle();
    assert.deepEqual(cluster.node(2).conf.votersOutgoing, [1, 2, 3]);
    cluster.drop = (m) => m.from === 1 || m.to === 1;
    cluster.tick(30, [2, 3, 4]);
    const next = cluster.leader();
    assert.notEqual(next.id, 1);
    assert.deepEqual([next.conf.voters, next.conf.votersOutgoing], [[1, 2, 4], []]);
  });

  it("L30: a joint configuration that took effect during a transfer is left when that has come to nothing", () => {
    const cluster = new Cluster([1, 2, 3], spread);
    cluster.add(4, undefined, spread(4));
    cluster.elect(1);
    const leader = cluster.node(1);
    leader.member.proposeConfChange(change("v4 r3"));
    assert.equal(leader.member.transferLeader(2), null);
    cluster.drop = (m) => m.kind === MessageKind.TimeoutNow;
    cluster.settle();
    assert.deepEqual(
      [leader.conf.voters, leader.conf.votersOutgoing],
      [
        [1, 2, 4],
        [1, 2, 3],
      ],
    );
    // Nobody proposes anything: it is the end of the transfer that lets the leader go on.
    cluster.tick(2 * leader.core.options.electionTicks);
    assert.deepEqual([leader.core.role, leader.conf.votersOutgoing], ["leader", []]);
  });

  it("L31, L34: joint configurations decide with both halves; explicit ones wait to be told", () => {
    const cluster = new Cluster([1, 2, 3]);
    for (const id of [4, 5, 6]) cluster.add(id);
    cluster.elect(1);
    const leader = cluster.node(1);
    leader.member.proposeConfChange(change("v4 v5 v6 r2 r3", ConfTransition.JointExplicit));
    cluster.settle();
    cluster.tick(3);
    assert.deepEqual(leader.conf.votersOutgoing, [1, 2, 3]);
    const commit = leader.core.log.committed;
    cluster.drop = (m) => [2, 3].includes(m.to) || [2, 3].includes(m.from);
    leader.member.propose([bytes("a")]);
    cluster.settle();
    assert.equal(leader.core.log.committed, commit);
    cluster.drop = () => false;
    cluster.tick(2);
    assert.equal(leader.core.log.committed, commit + 1);
    assert.equal(leader.member.proposeConfChange(change("")).ok, true);
    cluster.settle();
    assert.deepEqual([leader.conf.voters, leader.conf.votersOutgoing], [[1, 4, 5, 6], []]);
  });

  it("L32: a member with committed changes still to apply does not campaign", () => {
    const cluster = new Cluster([1, 2, 3], () => ({ preVote: false }));
    cluster.elect(1);
    cluster.node(1).member.proposeConfChange(change("l4"));
    cluster.settle();
    cluster.tick(1);
    const node = cluster.node(2);
    node.appliedIndex = 1;
    node.conf = { ...EMPTY_CONF_STATE, voters: [1, 2, 3] };
    node.confIndex = 1;
    node.restart();
    assert.ok(node.core.log.hasUnappliedConfChange());
    node.member.campaign();
    assert.equal(node.core.role, "follower");
    node.turn();
    node.member.campaign();
    assert.equal(node.core.role, "candidate");
  });

  it("L34: a leader that demotes itself steps down, and the rest elects another", () => {
    const cluster = new Cluster([1, 2, 3], spread);
    cluster.elect(1);
    cluster.node(1).member.proposeConfChange(change("l1", ConfTransition.JointImplicit));
    cluster.settle();
    cluster.tick(40);
    assert.notEqual(cluster.leader().id, 1);
    assert.deepEqual(cluster.leader().conf.learners, [1]);
    assert.equal(cluster.node(1).core.role, "follower");
  });

  it("a learner copies the log, never campaigns, and decides nothing", () => {
    const cluster = new Cluster([1, 2]);
    cluster.add(3);
    cluster.elect(1);
    const leader = cluster.node(1);
    leader.member.proposeConfChange(change("l3"));
    cluster.settle();
    cluster.tick(3);
    assert.equal(cluster.node(3).core.log.last, leader.core.log.last);
    cluster.node(3).member.campaign();
    assert.equal(cluster.node(3).core.role, "follower");
    const commit = leader.core.log.committed;
    cluster.drop = (m) => m.to === 2 || m.from === 2;
    leader.member.propose([bytes("a")]);
    cluster.settle();
    assert.equal(leader.core.log.committed, commit);
  });

  it("changes have to be applied before what follows them counts as applied", () => {
    const cluster = new Cluster([1]);
    cluster.elect(1);
    const node = cluster.node(1);
    node.member.proposeConfChange(change("l4"));
    const first = node.member.drain();
    node.member.persisted(first.persist?.seq ?? 0);
    const { committed } = node.member.drain();
    assert.equal(committed.length, 1);
    assert.throws(() => node.member.applied(committed[0]?.index ?? 0), InvariantError);
    assert.throws(() => {
      node.member.applyConfChange(null);
      node.member.applyConfChange(null);
    }, InvariantError);
  });
});

describe("raft: a change that a refused vote tells about", () => {
  it("is applied before the member campaigns by it", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    cluster.drop = (m) => m.to === 2 && m.commit > 2;
    cluster.node(1).member.proposeConfChange(change("r3"));
    cluster.settle();
    const node = cluster.node(2);
    assert.deepEqual([node.core.log.last, node.core.log.committed], [3, 2]);
    node.member.campaign();
    node.turn();
    const refusal = new Message(MessageKind.PreVoteResponse, 3, 2, node.core.term);
    refusal.reject = true;
    refusal.commit = 3;
    refusal.logTerm = node.core.log.term(3);
    node.member.step(refusal);
    assert.equal(node.core.log.committed, 3);
    const granted = new Message(MessageKind.PreVoteResponse, 1, 2, node.core.term + 1);
    node.member.step(granted);
    assert.equal(node.core.role, "follower");
    node.turn();
    assert.deepEqual(node.conf.voters, [1, 2]);
    node.member.campaign();
    assert.equal(node.core.role, "pre-candidate");
  });
});
