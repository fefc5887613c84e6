import { mutant } from "./mutants.js";
import type { Index, RaftId } from "./types.js";

/** Answers the index acknowledged by a voter, 0 when nothing is known of it. */
export interface AckedIndexes {
  ackedIndex(id: RaftId): Index;
}

/** Where an election stands: a majority may yet be reached, cannot be any more, or has been. */
export const VoteResult = { Pending: 1, Lost: 2, Won: 3 } as const;
export type VoteResult = (typeof VoteResult)[keyof typeof VoteResult];

/** Reused by every call: commit is computed for each acknowledgement, and must not allocate. */
const scratch: number[] = [];

/**
 * Highest index that a majority of `voters` has acknowledged, by sorting all of them: cleverer incremental schemes have
 * let commit advance on two of five votes (lesson L7). Infinity for no voters, so that an empty half of a joint
 * configuration never decides.
 */
export function majorityIndex(voters: readonly RaftId[], acked: AckedIndexes): number {
  const count = voters.length;
  if (count === 0) return Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const value = acked.ackedIndex(voters[i] as RaftId);
    let at = i;
    while (at > 0 && (scratch[at - 1] as number) > value) {
      scratch[at] = scratch[at - 1] as number;
      at--;
    }
    scratch[at] = value;
  }
  const position = count - ((count >> 1) + 1);
  if (mutant.quorumOffByOne) return scratch[Math.min(position + 1, count - 1)] as number;
  return scratch[position] as number;
}

/** Highest index acknowledged by a majority of both halves. */
export function jointIndex(
  incoming: readonly RaftId[],
  outgoing: readonly RaftId[],
  acked: AckedIndexes,
): number {
  const left = majorityIndex(incoming, acked);
  if (outgoing.length === 0 || mutant.jointCommitOneHalf) return left;
  const right = majorityIndex(outgoing, acked);
  return left < right ? left : right;
}

/** Result of an election among `voters`. `votes` holds yes and no; who is missing has not voted yet. */
export function majorityVote(voters: readonly RaftId[], votes: ReadonlyMap<RaftId, boolean>): VoteResult {
  const count = voters.length;
  if (count === 0) return VoteResult.Won;
  let yes = 0;
  let missing = 0;
  for (let i = 0; i < count; i++) {
    const vote = votes.get(voters[i] as RaftId);
    if (vote === undefined) missing++;
    else if (vote) yes++;
  }
  const needed = (count >> 1) + 1;
  if (yes >= needed) return VoteResult.Won;
  return yes + missing >= needed ? VoteResult.Pending : VoteResult.Lost;
}

/** Won only when both halves are won, lost as soon as one is lost. */
export function jointVote(
  incoming: readonly RaftId[],
  outgoing: readonly RaftId[],
  votes: ReadonlyMap<RaftId, boolean>,
): VoteResult {
  const left = majorityVote(incoming, votes);
  if (mutant.jointVoteOneHalf) return left;
  const right = majorityVote(outgoing, votes);
  if (left === right) return left;
  if (left === VoteResult.Lost || right === VoteResult.Lost) return VoteResult.Lost;
  return VoteResult.Pending;
}
