import {
  type AckedIndexes,
  jointIndex,
  jointVote,
  majorityIndex,
  majorityVote,
  VoteResult,
} from "../../src/raft/quorum.js";
import type { TestCase } from "./datadriven.js";

const VOTE_NAMES = {
  [VoteResult.Pending]: "VotePending",
  [VoteResult.Lost]: "VoteLost",
  [VoteResult.Won]: "VoteWon",
};

type Acks = ReadonlyMap<number, number>;

interface Input {
  readonly cfg: readonly number[];
  readonly cfgj: readonly number[];
  readonly joint: boolean;
  /** In order of first appearance of the voters. */
  readonly values: readonly number[];
}

/** Runs one case of the quorum files; answers its output. */
export function runQuorumCase(test: TestCase): string {
  const input = parse(test);
  const voters = union(input.cfg, input.cfgj);
  if (voters.length !== input.values.length) {
    const names = voters.map((id) => `${id}:{}`).join(" ");
    return `error: mismatched input (explicit or _) for voters map[${names}]: [${input.values.join(" ")}]\n`;
  }
  const given = new Map<number, number>();
  voters.forEach((id, i) => {
    const value = input.values[i] as number;
    if (value !== 0) given.set(id, value);
  });
  if (test.command === "committed") return committed(input, voters, given);
  if (test.command === "vote") return vote(input, given);
  throw new SyntaxError(`unknown command: ${test.command}`);
}

function parse(test: TestCase): Input {
  const numbers = (key: string): number[] =>
    test.args
      .filter((arg) => arg.key === key)
      .flatMap((arg) => arg.values)
      .filter((value) => value !== "zero")
      .map((value) => (value === "_" ? 0 : Number(value)));
  const votes = test.args.filter((arg) => arg.key === "votes").flatMap((arg) => arg.values);
  const unknown = test.args.find((arg) => !["cfg", "cfgj", "idx", "votes"].includes(arg.key));
  if (unknown !== undefined) throw new SyntaxError(`unknown arg ${unknown.key}`);
  return {
    cfg: union(numbers("cfg"), []),
    cfgj: union(numbers("cfgj"), []),
    joint: test.args.some((arg) => arg.key === "cfgj"),
    values:
      test.command === "vote" ? votes.map((v) => ({ y: 2, n: 1, _: 0 })[v] ?? Number.NaN) : numbers("idx"),
  };
}

function union(left: readonly number[], right: readonly number[]): number[] {
  return [...new Set([...left, ...right])];
}

function lookup(acks: Acks): AckedIndexes {
  return { ackedIndex: (id) => acks.get(id) ?? 0 };
}

function show(index: number): string {
  return index === Number.POSITIVE_INFINITY ? "∞" : String(index);
}

/** Every way to compute the same index has to agree; a difference shows in the output. */
function committed(input: Input, voters: readonly number[], acks: Acks): string {
  const acked = lookup(acks);
  const { cfg, cfgj } = input;
  let text = describe(voters, acks);
  if (input.joint) {
    const index = jointIndex(cfg, cfgj, acked);
    const swapped = jointIndex(cfgj, cfg, acked);
    if (swapped !== index) text += `${show(swapped)} <-- via symmetry\n`;
    return `${text}${show(index)}\n`;
  }
  const index = majorityIndex(cfg, acked);
  const alternatives: [string, number][] = [
    ["via alternative computation", countingIndex(cfg, acks)],
    ["via zero-joint quorum", jointIndex(cfg, [], acked)],
    ["via self-joint quorum", jointIndex(cfg, cfg, acked)],
  ];
  for (const id of cfg) {
    const own = acks.get(id) ?? 0;
    if (index > own && own > 0) {
      for (const lowered of [own - 1, 0]) {
        const other = majorityIndex(cfg, lookup(new Map(acks).set(id, lowered)));
        alternatives.push([`overlaying ${id}->${lowered}`, other]);
      }
    }
  }
  for (const [how, other] of alternatives) if (other !== index) text += `${show(other)} <-- ${how}\n`;
  return `${text}${show(index)}\n`;
}

/** The definition, literally: the largest acknowledged index that more than half have reached. */
function countingIndex(cfg: readonly number[], acks: Acks): number {
  if (cfg.length === 0) return Number.POSITIVE_INFINITY;
  const reached = (index: number): number => cfg.filter((id) => (acks.get(id) ?? 0) >= index).length;
  let best = 0;
  for (const index of acks.values()) if (reached(index) * 2 > cfg.length && index > best) best = index;
  return best;
}

function vote(input: Input, given: Acks): string {
  const votes = new Map<number, boolean>();
  for (const [id, value] of given) votes.set(id, value !== 1);
  if (!input.joint) return `${VOTE_NAMES[majorityVote(input.cfg, votes)]}\n`;
  const result = jointVote(input.cfg, input.cfgj, votes);
  const swapped = jointVote(input.cfgj, input.cfg, votes);
  const note = swapped === result ? "" : `${VOTE_NAMES[swapped]} <-- via symmetry\n`;
  return `${note}${VOTE_NAMES[result]}\n`;
}

/** A bar for each voter, as long as the number of voters that it is ahead of. */
function describe(voters: readonly number[], acks: Acks): string {
  if (voters.length === 0) return "<empty majority quorum>";
  const count = voters.length;
  const byIndex = voters
    .map((id) => ({ id, index: acks.get(id) ?? 0, known: acks.has(id), bar: 0 }))
    .sort((a, b) => a.index - b.index || a.id - b.id);
  byIndex.forEach((row, i) => {
    const below = byIndex[i - 1];
    if (below !== undefined) row.bar = below.index < row.index ? i : below.bar;
  });
  let text = `${" ".repeat(count)}    idx\n`;
  for (const row of byIndex.sort((a, b) => a.id - b.id)) {
    const bar = row.known ? `${"x".repeat(row.bar)}>${" ".repeat(count - row.bar)}` : `?${" ".repeat(count)}`;
    text += `${bar} ${String(row.index).padStart(5)}    (id=${row.id})\n`;
  }
  return text;
}
