import assert from "node:assert/strict";
import fc from "fast-check";
import {
  Entry,
  EntryKind,
  foundingState,
  type Message,
  MessageKind,
  NO_LIMIT,
} from "../../src/raft/index.js";
import { Inflights } from "../../src/raft/progress/inflights.js";
import { Progress, ProgressState } from "../../src/raft/progress/progress.js";
import { bytes, Cluster, TestNode, testOptions, voters } from "./support/cluster.js";
import { check } from "./support/property.js";

function appends(messages: readonly Message[], to: number): Message[] {
  return messages.filter((m) => m.kind === MessageKind.Append && m.to === to);
}

function ackOf(messages: readonly Message[]): Message {
  const found = messages.filter((m) => m.kind === MessageKind.AppendResponse);
  assert.equal(found.length, 1);
  return found[0] as Message;
}

/** A follower of leader 2 in term 2. */
function follower(): TestNode {
  return new TestNode(testOptions(1), foundingState(voters(1, 2, 3)));
}

function appendTo(
  node: TestNode,
  previous: number,
  previousTerm: number,
  terms: number[],
  commit: number,
): void {
  const message = node.core.message(MessageKind.Append, 1);
  message.from = 2;
  message.term = 3;
  message.index = previous;
  message.logTerm = previousTerm;
  message.entries = terms.map((t, i) => new Entry(t, previous + 1 + i, EntryKind.Normal, new Uint8Array(0)));
  message.commit = commit;
  node.member.step(message);
}

describe("raft lessons: replication and flow control", () => {
  it("L9: an append that overlaps removes nothing that was acknowledged", () => {
    const node = follower();
    appendTo(node, 1, 1, [2, 2, 2], 1);
    node.turn();
    appendTo(node, 1, 1, [2], 1);
    assert.equal(ackOf(node.turn()).index, 2);
    assert.equal(node.core.log.last, 4);
  });

  it("L10: the acknowledgement covers the append, not the own tail; commit moves no further either", () => {
    const node = follower();
    appendTo(node, 1, 1, [2, 2, 2], 1);
    node.turn();
    appendTo(node, 1, 1, [2], 4);
    assert.equal(ackOf(node.turn()).index, 2);
    assert.equal(node.core.log.committed, 2);
  });

  it("L11: an append from below commit is answered with what is committed, and touches nothing", () => {
    const node = follower();
    appendTo(node, 1, 1, [2, 2], 3);
    node.turn();
    appendTo(node, 1, 1, [3, 3], 3);
    const ack = ackOf(node.turn());
    assert.deepEqual([ack.reject, ack.index], [false, 3]);
    assert.equal(node.core.log.term(2), 2);
  });

  it("L12: match stays below next under any sequence of answers", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("sent" as const), n: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ kind: fc.constant("ack" as const), n: fc.integer({ min: 0, max: 30 }) }),
      fc.record({
        kind: fc.constant("reject" as const),
        n: fc.integer({ min: 0, max: 30 }),
        hint: fc.integer({ min: 0, max: 30 }),
      }),
      fc.record({ kind: fc.constantFrom("probe" as const, "replicate" as const), n: fc.constant(0) }),
      fc.record({ kind: fc.constant("snapshot" as const), n: fc.integer({ min: 0, max: 30 }) }),
    );
    check(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const progress = new Progress(5, false, 0, 4, NO_LIMIT);
        for (const one of steps) {
          if (one.kind === "sent" && !progress.isPaused) progress.sentEntries(one.n, one.n);
          // A peer acknowledges at most what it was sent.
          if (one.kind === "ack") progress.update(Math.min(one.n, progress.next - 1));
          if (one.kind === "reject") progress.decreaseTo(one.n, one.hint);
          if (one.kind === "probe") progress.becomeProbe();
          if (one.kind === "replicate") progress.becomeReplicate();
          if (one.kind === "snapshot") progress.becomeSnapshot(Math.max(one.n, progress.match));
          assert.ok(progress.match < progress.next, JSON.stringify(progress));
          assert.equal(progress.inflights.bytes, progress.inflights.sumBytes());
        }
      }),
      1000,
    );
  });

  it("L12: a rejection that answers no outstanding probe changes nothing", () => {
    const progress = new Progress(10, false, 0, 4, NO_LIMIT);
    assert.equal(progress.decreaseTo(5, 2), false);
    assert.equal(progress.next, 10);
    progress.update(7);
    progress.becomeReplicate();
    assert.equal(progress.decreaseTo(6, 2), false);
    assert.equal(progress.next, 8);
  });

  it("L13: an acknowledgement from before a removal does not count after the member was added again", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    const leader = cluster.node(1);
    const change = (kind: 0 | 1): void => {
      const result = leader.member.proposeConfChange({
        transition: 0,
        changes: [{ kind, id: 3 }],
        context: new Uint8Array(0),
      });
      assert.equal(result.ok, true);
      cluster.settle();
    };
    let old: Message | undefined;
    cluster.drop = (m) => {
      if (m.kind === MessageKind.AppendResponse && m.from === 3) old = m;
      return false;
    };
    leader.member.propose([bytes("a")]);
    cluster.settle();
    cluster.drop = (m) => m.from === 3 || m.to === 3;
    change(1);
    change(0);
    assert.ok(old !== undefined && old.index > 0);
    leader.member.step(old);
    assert.equal(leader.core.tracker.get(3)?.match, 0);
    cluster.drop = () => false;
    cluster.tick(3);
    assert.equal(leader.core.tracker.get(3)?.match, leader.core.log.last);
  });

  it("L14: the window is bounded in messages and in bytes", () => {
    const cluster = new Cluster([1, 2], () => ({
      inflightMessagesMax: 8,
      inflightBytesMax: 250,
      appendBytesMax: 0,
    }));
    cluster.elect(1);
    cluster.drop = (m) => m.from === 2;
    for (let i = 0; i < 10; i++) cluster.node(1).member.propose([bytes("x".repeat(100))]);
    assert.equal(appends(cluster.node(1).turn(), 2).filter((m) => m.entries.length > 0).length, 3);
    const small = new Cluster([1, 2], () => ({ inflightMessagesMax: 4 }));
    small.elect(1);
    for (let i = 0; i < 10; i++) small.node(1).member.propose([bytes("x")]);
    assert.equal(appends(small.node(1).turn(), 2).filter((m) => m.entries.length > 0).length, 4);
  });

  it("L15: with a full window whose appends are all lost, an empty append per heartbeat brings it back", () => {
    const cluster = new Cluster([1, 2], () => ({ inflightMessagesMax: 2 }));
    cluster.elect(1);
    cluster.drop = (m) => m.kind === MessageKind.Append;
    for (let i = 0; i < 5; i++) cluster.node(1).member.propose([bytes("x")]);
    cluster.settle();
    assert.equal(cluster.node(1).core.tracker.get(2)?.inflights.full, true);
    cluster.drop = () => false;
    cluster.tick(4);
    assert.equal(cluster.node(2).core.log.committed, cluster.node(1).core.log.last);
  });

  it("L16: a change of state starts with an empty window, and acknowledgements free what they cover", () => {
    const window = new Inflights(3, NO_LIMIT);
    for (const [index, size] of [
      [2, 10],
      [4, 20],
      [6, 30],
    ] as const)
      window.add(index, size);
    assert.equal(window.full, true);
    window.freeTo(4);
    assert.deepEqual([window.count, window.bytes, window.ends()], [1, 30, [6]]);
    const progress = new Progress(1, false, 0, 3, NO_LIMIT);
    progress.becomeReplicate();
    progress.sentEntries(2, 50);
    progress.becomeProbe();
    progress.becomeReplicate();
    assert.deepEqual([progress.inflights.count, progress.inflights.bytes], [0, 0]);
  });

  it("the window is a ring that grows and keeps its order", () => {
    const operation = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant(0));
    check(
      fc.property(fc.array(operation, { maxLength: 100 }), (operations) => {
        const window = new Inflights(NO_LIMIT, NO_LIMIT);
        let model: [index: number, size: number][] = [];
        let next = 0;
        for (const size of operations) {
          if (size > 0) {
            window.add(++next, size);
            model.push([next, size]);
          } else {
            const to = next - 3;
            window.freeTo(to);
            model = model.filter(([index]) => index > to);
          }
          assert.deepEqual(
            window.ends(),
            model.map(([index]) => index),
          );
          assert.equal(
            window.bytes,
            model.reduce((sum, [, bytesIn]) => sum + bytesIn, 0),
          );
        }
      }),
    );
  });

  it("L17: a leader without a quorum refuses proposals beyond its bound, at the bound exactly, and takes an empty tail's first", () => {
    const cluster = new Cluster([1, 2, 3], () => ({ uncommittedBytesMax: 10 }));
    cluster.elect(1);
    cluster.drop = () => true;
    const propose = (count: number): boolean => cluster.node(1).member.propose([bytes("x".repeat(count))]).ok;
    assert.equal(propose(4), true);
    assert.equal(propose(7), false);
    assert.equal(propose(6), true);
    assert.equal(propose(1), false);
    assert.equal(propose(0), true);
    const large = new Cluster([1], () => ({ uncommittedBytesMax: 10 }));
    large.elect(1);
    assert.equal(large.node(1).member.propose([bytes("x".repeat(50))]).ok, true);
    large.settle();
    assert.equal(large.node(1).member.propose([bytes("y")]).ok, true);
  });

  it("L18: an append without entries is acknowledged only after what came before it is durable", () => {
    const node = follower();
    appendTo(node, 1, 1, [2, 2], 1);
    const first = node.member.drain().persist;
    appendTo(node, 3, 2, [], 1);
    const second = node.member.drain();
    assert.deepEqual(second.messages, []);
    assert.equal(second.persist?.mustSync, false);
    assert.equal(second.persist?.after.length, 1);
    assert.ok(first !== null && second.persist !== null && second.persist.seq === first.seq + 1);
  });

  it("L19: a long divergent tail is passed in one probe a term", () => {
    const founding = foundingState(voters(1, 2, 3));
    const tail = (term: number, count: number): Entry[] =>
      Array.from({ length: count }, (_, i) => new Entry(term, 2 + i, EntryKind.Normal, new Uint8Array(0)));
    const cluster = new Cluster([1, 2, 3]);
    const make = (id: number, term: number, entries: Entry[]): void => {
      const durable = { ...founding, hardState: { term, vote: 0, commit: 1 }, entries };
      cluster.nodes.set(id, new TestNode(testOptions(id), durable));
    };
    make(1, 5, tail(5, 500));
    make(2, 5, tail(5, 500));
    make(3, 4, tail(4, 400));
    let probes = 0;
    cluster.drop = (m) => {
      if (m.kind === MessageKind.Append && m.to === 3) probes++;
      return false;
    };
    cluster.elect(1);
    cluster.tick(2);
    assert.equal(cluster.node(3).core.log.committed, cluster.node(1).core.log.last);
    assert.ok(probes <= 6, `${probes} appends`);
  });

  it("heartbeats tell no commit beyond what the peer is known to hold", () => {
    const cluster = new Cluster([1, 2, 3]);
    cluster.elect(1);
    cluster.drop = (m) => m.to === 3;
    cluster.node(1).member.propose([bytes("a")]);
    cluster.settle();
    cluster.node(1).member.tick();
    const commits = cluster
      .node(1)
      .turn()
      .filter((m) => m.kind === MessageKind.Heartbeat)
      .map((m) => [m.to, m.commit]);
    assert.deepEqual(commits, [
      [2, 3],
      [3, 2],
    ]);
  });

  it("a probing peer gets one append, a replicating one as many as fit", () => {
    const cluster = new Cluster([1, 2]);
    cluster.elect(1);
    cluster.node(1).member.reportUnreachable(2);
    assert.equal(cluster.node(1).core.tracker.get(2)?.state, ProgressState.Probe);
    for (let i = 0; i < 3; i++) cluster.node(1).member.propose([bytes("x")]);
    assert.equal(appends(cluster.node(1).turn(), 2).length, 1);
  });
});
