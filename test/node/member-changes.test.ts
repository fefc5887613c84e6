import assert from "node:assert/strict";
import { changeMembersPatiently } from "../../src/node/admin/members.js";
import type { MemberChange, Replica } from "../../src/replica/api.js";
import { ErrorCode, errorDetail, HoldfastError } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";

/** A leader that answers each call with the next of these, and with the last from then on. */
class Leader {
  readonly asked: MemberChange[] = [];
  nowMs = 0;

  constructor(private readonly answers: readonly (v1.IErrorDetail | null)[]) {}

  readonly replica = {
    state: { members: () => [{ name: "n2", raftId: 2 }] },
    status: () => ({ raft: { id: 1, config: conf, progress: [] } }),
    changeMembers: (change: MemberChange) => {
      this.asked.push(change);
      return Promise.resolve(this.answers[this.asked.length - 1] ?? this.answers.at(-1) ?? null);
    },
  } as unknown as Replica;

  demote(): Promise<v1.IListMembersReply> {
    const world = {
      nowMs: () => this.nowMs,
      sleep: (ms: number) => {
        this.nowMs += ms;
        return Promise.resolve();
      },
    };
    return changeMembersPatiently(this.replica, { action: "demote", member: { name: "n2" } }, world);
  }
}

const conf = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [] };
const early = errorDetail(ErrorCode.PRECONDITION_FAILED, "only 1 of 2 voters would answer");

describe("a change of members that the leader refuses", () => {
  it("is looked at again: right after an election nobody has answered yet", async () => {
    const leader = new Leader([early, early, null]);
    await leader.demote();
    assert.equal(leader.asked.length, 3);
    assert.deepEqual(leader.asked[2], leader.asked[0]);
    assert(leader.nowMs > 0);
  });

  it("stays refused, after a moment, when nothing changes", async () => {
    const leader = new Leader([early]);
    await assert.rejects(
      leader.demote(),
      (error: unknown) => error instanceof HoldfastError && error.message.includes("only 1 of 2"),
    );
    assert(leader.nowMs >= 300 && leader.nowMs <= 1_000, `${leader.nowMs} ms`);
  });

  it("for any other reason is refused at once", async () => {
    const leader = new Leader([errorDetail(ErrorCode.NO_CHANGE, "n2 is a learner already"), null]);
    await assert.rejects(leader.demote(), HoldfastError);
    assert.equal(leader.asked.length, 1);
    assert.equal(leader.nowMs, 0);
  });
});
