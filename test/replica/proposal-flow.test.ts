import assert from "node:assert/strict";
import type { ProposeResult, RaftMember } from "../../src/raft/index.js";
import { ClusterTime } from "../../src/replica/cluster-time.js";
import type { LeaderInfo } from "../../src/replica/api.js";
import { replicaDefaults } from "../../src/replica/index.js";
import { ProposalFlow } from "../../src/replica/proposal-flow.js";
import { ProposalBook } from "../../src/replica/proposals.js";
import type { v1 } from "../../src/wire/index.js";

/** A leader whose log takes everything; what is applied is set by hand. */
class Leader {
  readonly rounds: number[] = [];
  readonly book = new ProposalBook(1_000, 1_000_000);
  readonly flow: ProposalFlow;
  applied = 0;
  info: LeaderInfo = { isLeader: true, term: 2, leaderId: 1, ready: true };
  private last = 0;

  constructor() {
    const propose = (data: readonly Uint8Array[]): ProposeResult => {
      this.rounds.push(data.length);
      const index = this.last + 1;
      this.last += data.length;
      return { ok: true, index, term: 2 };
    };
    const clock = { monotonicMs: () => 0, wallMs: () => 0 };
    this.flow = new ProposalFlow({
      config: { ...replicaDefaults, raftId: 1, name: "n1", clusterId: "c", initialMembers: [], shares: [] },
      clock,
      raft: { propose, awaitedBy: () => false } as unknown as RaftMember,
      boot: 1,
      time: new ClusterTime(),
      book: this.book,
      info: () => this.info,
      isConnected: () => true,
      send: () => assert.fail("nothing is to be sent"),
      diskLow: () => false,
      appliedIndex: () => this.applied,
    });
  }

  /** So many commands arrive in one turn. */
  arrive(count: number): void {
    for (let i = 0; i < count; i++) this.book.add(Uint8Array.of(1), 1_000, () => {});
    this.flow.flush();
  }
}

describe("proposal flow: rounds of a leader", () => {
  it("lets a command go at once when nothing is under way, and one more beside one", () => {
    const leader = new Leader();
    leader.arrive(1);
    leader.arrive(1);
    assert.deepEqual(leader.rounds, [1, 1]);
  });

  it("gathers while more is under way than waits, until it is as many", () => {
    const leader = new Leader();
    leader.arrive(10);
    leader.arrive(9);
    assert.deepEqual(leader.rounds, [10]);
    leader.arrive(1);
    assert.deepEqual(leader.rounds, [10, 10]);
    leader.arrive(19);
    assert.deepEqual(leader.rounds, [10, 10]);
  });

  it("sends what has gathered as soon as a round ends", () => {
    const leader = new Leader();
    leader.arrive(10);
    leader.arrive(3);
    leader.applied = 6;
    leader.flow.flush();
    assert.deepEqual(leader.rounds, [10], "four are under way, three wait");
    leader.applied = 7;
    leader.flow.flush();
    assert.deepEqual(leader.rounds, [10, 3]);
  });

  it("waits for no round of an earlier leadership", () => {
    const leader = new Leader();
    leader.arrive(10);
    leader.info = { ...leader.info, term: 3 };
    leader.flow.roleChanged(2);
    leader.arrive(1);
    assert.deepEqual(leader.rounds, [10, 1]);
  });
});

/** A member that passes commands on, or gets them passed on; what it sends is collected. */
class Member {
  readonly book = new ProposalBook(1_000, 1_000_000);
  readonly flow: ProposalFlow;
  readonly sent: v1.IPeerFrame[] = [];
  readonly answers: v1.ICommandResult[] = [];
  nowMs = 1_000;
  takes = true;
  /** Whether it and another one are a majority. */
  pair = true;
  /** Entries of its log that are not applied when it appends. */
  underWay = 0;
  private last = 6;

  constructor(
    readonly raftId: number,
    public info: LeaderInfo,
  ) {
    const propose = (data: readonly Uint8Array[]): ProposeResult => {
      if (!this.takes) return { ok: false, reason: "transfer-in-progress", leader: 3 };
      const index = this.last + 1;
      this.last += data.length;
      return { ok: true, index, term: info.term };
    };
    this.flow = new ProposalFlow({
      config: {
        ...replicaDefaults,
        raftId,
        name: `n${raftId}`,
        clusterId: "c",
        initialMembers: [],
        shares: [],
      },
      clock: { monotonicMs: () => this.nowMs, wallMs: () => 0 },
      raft: { propose, awaitedBy: () => this.pair } as unknown as RaftMember,
      boot: raftId,
      time: new ClusterTime(),
      book: this.book,
      info: () => this.info,
      isConnected: () => true,
      send: (_to, frame) => void this.sent.push(frame),
      diskLow: () => false,
      appliedIndex: () => this.last - this.underWay,
    });
  }

  propose(): void {
    this.book.add(Uint8Array.of(1), 60_000, (result) => this.answers.push(result));
    this.flow.flush();
  }

  /** So late that forwards without an answer are repeated, and a hold after a refusal is over. */
  later(): void {
    this.nowMs += replicaDefaults.forwardRetryMs;
    this.flow.repeatUnanswered();
    this.flow.flush();
  }

  /** Numbers of the commands passed on since the last call. */
  passedOn(): number[] {
    const frames = this.sent.splice(0).map(({ forward }) => forward?.proposals ?? []);
    return frames.flat().map(({ proposal }) => Number(proposal));
  }
}

const LEADER: LeaderInfo = { isLeader: true, term: 2, leaderId: 3, ready: true };
const FOLLOWER: LeaderInfo = { isLeader: false, term: 2, leaderId: 3, ready: false };

/** What the first has sent last arrives at the second, and its answers come back. */
function carry(from: Member, to: Member): void {
  const { forward } = from.sent[from.sent.length - 1] as v1.IPeerFrame;
  to.flow.received(from.raftId, forward as v1.IForward);
  to.flow.flush();
  for (const { forwardRefused } of to.sent.splice(0))
    if (forwardRefused) from.flow.refusedByLeader(forwardRefused);
}

describe("proposal flow: what is passed on", () => {
  it("goes out anew at once when its only copy met nobody who leads", () => {
    const origin = new Member(1, FOLLOWER);
    origin.propose();
    carry(origin, new Member(3, FOLLOWER));
    assert.deepEqual(origin.passedOn(), [1]);
    origin.later();
    assert.deepEqual(origin.passedOn(), [2]);
  });

  // Found by the simulator, cluster seed 24: the first copy was in the log, and the second was appended as well.
  it("is not lost for certain when a repeat meets its leader after a restart", () => {
    const origin = new Member(1, FOLLOWER);
    origin.propose();
    carry(origin, new Member(3, LEADER));
    origin.later();
    assert.deepEqual(origin.passedOn(), [1, 1], "sent, and repeated");
    origin.flow.repeatUnanswered();
    origin.later();
    carry(origin, new Member(3, FOLLOWER));
    origin.sent.length = 0;
    origin.nowMs += 30;
    origin.flow.flush();
    assert.deepEqual(origin.passedOn(), [], "the first copy may be in the log");
    origin.book.settle(1, { revision: 7 });
    assert.deepEqual(origin.answers, [{ revision: 7 }]);
  });

  it("goes out anew once a later term shows that no copy was taken", () => {
    const origin = new Member(1, FOLLOWER);
    origin.propose();
    origin.later();
    carry(origin, new Member(3, FOLLOWER));
    origin.sent.length = 0;
    origin.info = { ...FOLLOWER, term: 3, leaderId: 2 };
    origin.book.termApplied(3);
    origin.nowMs += 30;
    origin.flow.flush();
    assert.deepEqual(origin.passedOn(), [2]);
  });

  it("goes out anew when the leader itself refuses the first copy that reached it", () => {
    const origin = new Member(1, FOLLOWER);
    const leader = new Member(3, LEADER);
    leader.takes = false;
    origin.propose();
    origin.later();
    carry(origin, leader);
    origin.sent.length = 0;
    origin.nowMs += 30;
    origin.flow.flush();
    assert.deepEqual(origin.passedOn(), [2]);
  });
});

describe("proposal flow: who alone waits for what is appended", () => {
  /** Passes on one command of each origin, all in one turn of the leader; the entries begin at 7. */
  function passOn(leader: Member, ...origins: number[]): void {
    for (const [i, raftId] of origins.entries()) {
      const origin = new Member(raftId, FOLLOWER);
      for (let n = 0; n <= i; n++) origin.propose();
      leader.flow.received(raftId, origin.sent[i]?.forward as v1.IForward);
    }
    leader.flow.flush();
  }

  it("is the one member that passed all of it on, for these entries and no others", () => {
    const leader = new Member(3, LEADER);
    passOn(leader, 1, 1);
    assert.equal(leader.flow.onlyWaiter(7, 8), 1);
    assert.equal(leader.flow.onlyWaiter(8, 8), 1);
    assert.deepEqual([leader.flow.onlyWaiter(6, 8), leader.flow.onlyWaiter(7, 9)], [0, 0]);
    leader.flow.roleChanged(2);
    assert.equal(leader.flow.onlyWaiter(7, 8), 0);
  });

  it("is nobody when others wait too: another member, or a client of the leader's own", () => {
    const leader = new Member(3, LEADER);
    passOn(leader, 1, 2);
    assert.equal(leader.flow.onlyWaiter(7, 7), 0);
    const mixed = new Member(3, LEADER);
    mixed.book.add(Uint8Array.of(1), 60_000, () => {});
    passOn(mixed, 1);
    assert.deepEqual([mixed.flow.onlyWaiter(7, 7), mixed.flow.onlyWaiter(8, 8)], [0, 0]);
  });

  it("is nobody when the two are no majority, or when it is not told of the leader's disk", () => {
    const five = new Member(3, LEADER);
    five.pair = false;
    passOn(five, 1);
    assert.equal(five.flow.onlyWaiter(7, 7), 0);
    const busy = new Member(3, LEADER);
    busy.underWay = 17;
    passOn(busy, 1);
    assert.equal(busy.flow.onlyWaiter(7, 7), 0);
  });
});
