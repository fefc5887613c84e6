import assert from "node:assert/strict";
import {
  type DurableState,
  Entry,
  EntryKind,
  foundingState,
  InvariantError,
  Message,
  MessageKind,
} from "../../src/raft/index.js";
import { bytes, Cluster, TestNode, testOptions, voters } from "./support/cluster.js";

/** A member of a group of three whose log after the founding state has these terms. */
function memberWith(term: number, ...terms: number[]): TestNode {
  const founding = foundingState(voters(1, 2, 3));
  const entries = terms.map((t, i) => new Entry(t, 2 + i, EntryKind.Normal, new Uint8Array(0)));
  const durable: DurableState = { ...founding, hardState: { term, vote: 0, commit: 1 }, entries };
  return new TestNode(testOptions(1), durable);
}

function vote(
  from: number,
  term: number,
  index: number,
  logTerm: number,
  kind: MessageKind = MessageKind.Vote,
): Message {
  const message = new Message(kind, from, 1, term);
  message.index = index;
  message.logTerm = logTerm;
  return message;
}

function answers(node: TestNode, kind: MessageKind): Message[] {
  return node.turn().filter((m) => m.kind === kind);
}

describe("raft lessons: elections and terms", () => {
  it("L1: a leader, candidate or pre-candidate of a lower term is told the own term", () => {
    const node = memberWith(5);
    node.member.step(new Message(MessageKind.Heartbeat, 2, 1, 3));
    node.member.step(vote(3, 4, 9, 3, MessageKind.PreVote));
    node.member.step(vote(2, 4, 9, 3));
    const sent = node.turn();
    assert.deepEqual(
      sent.map((m) => [m.kind, m.to, m.term]),
      [
        [MessageKind.AppendResponse, 2, 5],
        [MessageKind.PreVoteResponse, 3, 5],
        [MessageKind.VoteResponse, 2, 5],
      ],
    );
  });

  it("L2: a pre-candidate names no leader, and grants the pre-votes of others", () => {
    const node = memberWith(2);
    node.member.step(new Message(MessageKind.Heartbeat, 2, 1, 2));
    node.member.campaign();
    assert.equal(node.core.leader, 0);
    node.turn();
    node.member.step(vote(3, 3, 1, 1, MessageKind.PreVote));
    assert.deepEqual(
      answers(node, MessageKind.PreVoteResponse).map((m) => m.reject),
      [false],
    );
  });

  it("L3: a pre-vote refused for its term makes the asker adopt the higher one", () => {
    const node = memberWith(2);
    node.member.campaign();
    const refusal = new Message(MessageKind.PreVoteResponse, 2, 1, 7);
    refusal.reject = true;
    node.member.step(refusal);
    assert.deepEqual([node.core.role, node.core.term], ["follower", 7]);
  });

  it("L4: a member hears no leader but that one's own campaign", () => {
    const node = memberWith(2);
    node.member.step(new Message(MessageKind.Heartbeat, 2, 1, 2));
    node.turn();
    node.member.step(vote(3, 3, 9, 2, MessageKind.PreVote));
    assert.deepEqual(answers(node, MessageKind.PreVoteResponse), []);
    node.member.step(vote(2, 3, 9, 2, MessageKind.PreVote));
    assert.deepEqual(
      answers(node, MessageKind.PreVoteResponse).map((m) => m.reject),
      [false],
    );
  });

  it("L5: term and vote are one record, and one term has one vote, across a restart", () => {
    const node = memberWith(2);
    node.member.step(vote(2, 3, 9, 2));
    const batch = node.member.drain().persist;
    assert.deepEqual(batch?.hardState, { term: 3, vote: 2, commit: 1 });
    assert.equal(batch?.mustSync, true);
    assert.deepEqual(
      batch?.after.map((m) => [m.kind, m.reject]),
      [[MessageKind.VoteResponse, false]],
    );
    node.hardState = { term: 3, vote: 2, commit: 1 };
    node.restart();
    node.member.step(vote(3, 3, 9, 2));
    assert.deepEqual(
      answers(node, MessageKind.VoteResponse).map((m) => m.reject),
      [true],
    );
  });

  it("L5: a term without a vote clears the vote in the same record", () => {
    const node = memberWith(2);
    node.member.step(vote(2, 3, 9, 2));
    node.turn();
    node.member.step(new Message(MessageKind.Heartbeat, 3, 1, 4));
    assert.deepEqual(node.member.drain().persist?.hardState, { term: 4, vote: 0, commit: 1 });
  });

  it("L6: a leader commits no entry of an earlier term by counting", () => {
    const node = memberWith(2, 2, 2);
    node.member.campaign();
    node.turn();
    for (const kind of [MessageKind.PreVoteResponse, MessageKind.VoteResponse]) {
      node.member.step(new Message(kind, 2, 1, 3));
      node.turn();
    }
    assert.equal(node.core.role, "leader");
    const ack = (index: number): void => {
      const message = new Message(MessageKind.AppendResponse, 2, 1, 3);
      message.index = index;
      node.member.step(message);
    };
    ack(3);
    assert.equal(node.core.log.committed, 1);
    ack(4);
    assert.equal(node.core.log.committed, 4);
  });

  it("L6: no vote for a log that is behind", () => {
    const node = memberWith(3, 2, 3);
    const cases: [index: number, term: number, granted: boolean][] = [
      [9, 2, false],
      [2, 3, false],
      [3, 3, true],
      [1, 4, true],
    ];
    cases.forEach(([index, term, granted], i) => {
      node.member.step(vote(2, 4 + i, index, term));
      assert.deepEqual(
        answers(node, MessageKind.VoteResponse).map((m) => !m.reject),
        [granted],
      );
    });
  });

  it("a second leader in one term ends the node", () => {
    const node = memberWith(2);
    node.member.step(new Message(MessageKind.Heartbeat, 2, 1, 2));
    assert.throws(() => node.member.step(new Message(MessageKind.Heartbeat, 3, 1, 2)), InvariantError);
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const { term } = cluster.node(1).core;
    assert.throws(
      () => cluster.node(1).member.step(new Message(MessageKind.Append, 2, 1, term)),
      InvariantError,
    );
  });

  it("a vote counts once for each member", () => {
    const cluster = new Cluster([1, 2, 3, 4, 5], () => ({ preVote: false }));
    const node = cluster.node(1);
    node.member.campaign();
    node.turn();
    for (let i = 0; i < 5; i++) node.member.step(new Message(MessageKind.VoteResponse, 2, 1, 2));
    assert.equal(node.core.role, "candidate");
    node.member.step(new Message(MessageKind.VoteResponse, 3, 1, 2));
    assert.equal(node.core.role, "leader");
  });

  it("check quorum: a leader that hears from no quorum steps down and says so to its readers", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    cluster.drop = () => true;
    cluster.tick(5);
    cluster.node(1).member.readIndex(4);
    cluster.tick(20, [1]);
    assert.notEqual(cluster.node(1).core.role, "leader");
    assert.deepEqual(cluster.node(1).failedReads, [{ request: 4, reason: "leadership-lost" }]);
  });

  it("late-timer rule: a stall grants the leader one heartbeat interval, not a new timeout", () => {
    const node = new TestNode(
      testOptions(1, { electionTicks: 10, heartbeatTicks: 2 }),
      foundingState(voters(1, 2, 3)),
    );
    for (let i = 0; i < 9; i++) node.member.tick();
    node.member.stalled();
    const ticksUntilCampaign = (): number => {
      let ticks = 0;
      while (node.core.role === "follower" && ticks < 50) {
        node.member.tick();
        ticks++;
      }
      return ticks;
    };
    assert.equal(ticksUntilCampaign(), 3);
  });

  it("L17: a leader counts the uncommitted bytes that it inherited", () => {
    const founding = foundingState(voters(1, 2, 3));
    const entries = [new Entry(2, 2, EntryKind.Normal, bytes("x".repeat(100)))];
    const durable: DurableState = { ...founding, hardState: { term: 2, vote: 0, commit: 1 }, entries };
    const node = new TestNode(testOptions(1, { uncommittedBytesMax: 120, preVote: false }), durable);
    node.member.campaign();
    node.turn();
    node.member.step(new Message(MessageKind.VoteResponse, 2, 1, 3));
    assert.equal(node.core.role, "leader");
    assert.equal(node.member.propose([bytes("y".repeat(20))]).ok, true);
    assert.deepEqual(node.member.propose([bytes("z")]), {
      ok: false,
      reason: "uncommitted-limit",
      leader: 1,
    });
  });
});
