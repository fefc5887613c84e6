import assert from "node:assert/strict";
import fc from "fast-check";
import { jointIndex, jointVote, majorityIndex, majorityVote, VoteResult } from "../../src/raft/quorum.js";
import { check } from "./support/property.js";

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 });
const acks = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 10, maxLength: 10 });

function lookup(values: readonly number[]): { ackedIndex(id: number): number } {
  return { ackedIndex: (id) => values[id] ?? 0 };
}

/** The definition: more than half of the voters have reached it. */
function committed(voters: readonly number[], values: readonly number[], index: number): boolean {
  return voters.filter((id) => (values[id] ?? 0) >= index).length * 2 > voters.length;
}

describe("raft quorum: against the definition (lesson L7)", () => {
  it("majorityIndex is the largest index that more than half have reached", () => {
    check(
      fc.property(ids, acks, (voters, values) => {
        const index = majorityIndex(voters, lookup(values));
        assert.ok(index === 0 || committed(voters, values, index));
        assert.ok(!committed(voters, values, index + 1));
      }),
    );
  });

  it("jointIndex needs both halves", () => {
    check(
      fc.property(ids, ids, acks, (incoming, outgoing, values) => {
        const index = jointIndex(incoming, outgoing, lookup(values));
        const both = (at: number): boolean =>
          committed(incoming, values, at) && committed(outgoing, values, at);
        assert.ok(index === 0 || both(index));
        assert.ok(!both(index + 1));
      }),
    );
  });

  it("an election is won or lost exactly when no missing vote can change it", () => {
    const cast = fc.array(fc.constantFrom(true, false, null), { minLength: 10, maxLength: 10 });
    check(
      fc.property(ids, ids, cast, (incoming, outgoing, votes) => {
        const given = new Map<number, boolean>();
        votes.forEach((vote, id) => {
          if (vote !== null) given.set(id, vote);
        });
        const fill = (rest: boolean): ReadonlyMap<number, boolean> =>
          new Map(votes.map((vote, id) => [id, vote ?? rest] as const));
        const wins = (all: ReadonlyMap<number, boolean>): boolean =>
          [incoming, outgoing].every((half) => half.filter((id) => all.get(id)).length * 2 > half.length);
        const expected = wins(fill(false))
          ? VoteResult.Won
          : wins(fill(true))
            ? VoteResult.Pending
            : VoteResult.Lost;
        const lostHalf = [incoming, outgoing].some((half) => majorityVote(half, given) === VoteResult.Lost);
        assert.equal(jointVote(incoming, outgoing, given), lostHalf ? VoteResult.Lost : expected);
      }),
    );
  });

  it("no voters decide nothing: the other half does", () => {
    assert.equal(majorityIndex([], lookup([])), Number.POSITIVE_INFINITY);
    assert.equal(majorityVote([], new Map()), VoteResult.Won);
  });
});
