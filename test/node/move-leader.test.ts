import assert from "node:assert/strict";
import { moveLeader } from "../../src/node/admin/members.js";
import type { Replica } from "../../src/replica/api.js";
import { ErrorCode, errorDetail, type HoldfastError } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";

const MEMBERS = [1, 2, 3, 4].map((raftId) => ({ raftId, name: `n${raftId}` }));

/** A follower (n2) of n1; n4 has no vote. `refused`: how an order to hand over ends. */
function follower(refused: v1.IErrorDetail | null, votersAfterBarrier = [1, 2, 3]) {
  let voters = [1, 2, 3];
  let leaderId = 1;
  const asked: number[] = [];
  const replica = {
    state: { members: () => MEMBERS },
    status: () => ({ raft: { id: 2, config: { voters }, progress: [] } }),
    leader: () => ({ leaderId }),
    async readBarrier() {
      voters = votersAfterBarrier;
      return 1;
    },
    async transferLeadership(to: number) {
      asked.push(to);
      if (refused === null) leaderId = to;
      return refused;
    },
  } as unknown as Replica;
  const world = { nowMs: () => 0, sleep: () => Promise.reject(new Error("nothing to wait for")) };
  return { asked, move: (to: string) => moveLeader(replica, { to }, world, 1_000) };
}

async function refusalOf(moved: Promise<unknown>): Promise<HoldfastError> {
  return moved.then(
    () => assert.fail("it was done"),
    (error: unknown) => error as HoldfastError,
  );
}

describe("moving the leadership, asked of a follower", () => {
  it("is done to a voter", async () => {
    assert.deepEqual(await follower(null).move("n3"), { from: "n1", to: "n3", tookMs: 0 });
  });

  it("is refused at once to a member without a vote, which the leader would not even answer", async () => {
    const { move, asked } = follower(null);
    const error = await refusalOf(move("n4"));
    assert.equal(error.code, ErrorCode.PRECONDITION_FAILED);
    assert.match(error.message, /^n4 has no vote and cannot lead$/);
    assert.equal(error.extras.next, "holdfast members promote n4");
    assert.deepEqual(asked, []);
  });

  it("is done to one whose promotion had not come as far as this node", async () => {
    const { move } = follower(null, [1, 2, 3, 4]);
    assert.equal((await move("n4")).to, "n4");
  });

  it("that nobody answers has an unknown outcome, and says whose", async () => {
    const error = await refusalOf(follower(errorDetail(ErrorCode.DEADLINE_EXCEEDED, "late")).move("n3"));
    assert.equal(error.code, ErrorCode.OUTCOME_UNKNOWN);
    assert.match(error.message, /^n3 has not taken over from n1 in time/);
  });

  it("that is refused says why", async () => {
    const error = await refusalOf(
      follower(errorDetail(ErrorCode.NO_QUORUM, "no leader is known")).move("n3"),
    );
    assert.equal(error.code, ErrorCode.NO_QUORUM);
  });
});
