import assert from "node:assert/strict";
import type { ProposeResult, RaftMember } from "../../src/raft/index.js";
import { ClusterTime } from "../../src/replica/cluster-time.js";
import type { LeaderInfo } from "../../src/replica/api.js";
import { replicaDefaults } from "../../src/replica/index.js";
import { ProposalFlow } from "../../src/replica/proposal-flow.js";
import { ProposalBook } from "../../src/replica/proposals.js";

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
      raft: { propose } as unknown as RaftMember,
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
