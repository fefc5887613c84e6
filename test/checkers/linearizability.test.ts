import assert from "node:assert/strict";
import {
  checkLinearizable,
  lockModel,
  type LockInput,
  type LockOutput,
  type Operation,
  partition,
  registerModel,
  type RegisterInput,
  type RegisterOutput,
} from "../../src/testing/linearizability/index.js";
import { Prng, SeedTree } from "../../src/testing/sim/prng.js";
import { draftCalls } from "./drafts.js";

type RegisterOperation = Operation<RegisterInput, RegisterOutput>;
const BUDGET = 2_000_000;

/** A history that is linearizable by construction: each operation takes effect at a point inside its interval. */
function goodHistory(prng: Prng, length: number, clients: number, unknownRate: number): RegisterOperation[] {
  const drafts = draftCalls<RegisterInput>(prng, length, clients, (i) =>
    prng.chance(0.5) ? { write: i + 1 } : { read: true },
  );
  let value = 0;
  const history: RegisterOperation[] = [];
  for (const draft of drafts) {
    const previous = value;
    if ("write" in draft.call) value = draft.call.write;
    const unknown = prng.chance(unknownRate);
    history.push({
      client: draft.client,
      input: draft.call,
      callUs: draft.callUs,
      returnUs: unknown ? Infinity : draft.returnUs,
      output: unknown ? null : { previous },
    });
  }
  return history;
}

const seed = Number(process.env.SEED ?? 20261122);

describe(`linearizability checker (seed ${seed})`, () => {
  it("accepts generated histories, with and without unknown outcomes", () => {
    const prng = new SeedTree(seed).stream("good");
    for (let round = 0; round < 60; round++) {
      const history = goodHistory(prng, 200, prng.between(1, 8), round % 3 === 0 ? 0.03 : 0);
      assert.equal(
        checkLinearizable(history, registerModel, BUDGET).verdict,
        "linearizable",
        `round ${round}`,
      );
    }
  });

  it("rejects each of them after one answer was falsified", () => {
    const prng = new SeedTree(seed).stream("bad");
    for (let round = 0; round < 60; round++) {
      const history = goodHistory(prng, 120, prng.between(1, 6), 0);
      const victim = prng.below(history.length);
      const old = history[victim] as RegisterOperation;
      // A value that nobody ever wrote: no order of the operations can explain it.
      history[victim] = { ...old, output: { previous: 1_000_000 } };
      assert.equal(
        checkLinearizable(history, registerModel, BUDGET).verdict,
        "not-linearizable",
        `round ${round}`,
      );
    }
  });

  it("rejects a read that returns a value from before a write that had ended", () => {
    const history: RegisterOperation[] = [
      { client: 1, input: { write: 1 }, callUs: 0, returnUs: 10, output: { previous: 0 } },
      { client: 1, input: { write: 2 }, callUs: 20, returnUs: 30, output: { previous: 1 } },
      { client: 2, input: { read: true }, callUs: 31, returnUs: 40, output: { previous: 1 } },
    ];
    assert.equal(checkLinearizable(history, registerModel, BUDGET).verdict, "not-linearizable");
    const last = history[2] as RegisterOperation;
    history[2] = { ...last, callUs: 30 };
    assert.equal(
      checkLinearizable(history, registerModel, BUDGET).verdict,
      "linearizable",
      "intervals are closed: a call at the moment of the return is concurrent with it",
    );
  });

  it("lets an operation of unknown outcome take effect late, or never", () => {
    const lost = { client: 1, input: { write: 7 }, callUs: 0, returnUs: Infinity, output: null };
    const read = (callUs: number, previous: number): RegisterOperation => ({
      client: 2,
      input: { read: true },
      callUs,
      returnUs: callUs + 1,
      output: { previous },
    });
    const verdict = (history: RegisterOperation[]): string =>
      checkLinearizable(history, registerModel, BUDGET).verdict;
    assert.equal(verdict([lost, read(10, 0), read(20, 0)]), "linearizable");
    assert.equal(verdict([lost, read(10, 0), read(20, 7)]), "linearizable");
    assert.equal(verdict([lost, read(10, 7), read(20, 0)]), "not-linearizable");
  });

  it("reports the longest prefix it could explain", () => {
    const result = checkLinearizable<number, RegisterInput, RegisterOutput>(
      [
        { client: 1, input: { write: 1 }, callUs: 0, returnUs: 1, output: { previous: 0 } },
        { client: 1, input: { read: true }, callUs: 2, returnUs: 3, output: { previous: 9 } },
      ],
      registerModel,
      BUDGET,
    );
    assert.deepEqual(result.longest, [0]);
  });

  it("gives up, and says so, when its budget is used up", () => {
    const history = goodHistory(new SeedTree(seed).stream("budget"), 100, 6, 0);
    assert.equal(checkLinearizable(history, registerModel, 20).verdict, "gave-up");
  });

  it("finds two holders of one lock", () => {
    const acquire = (client: number, callUs: number, done: boolean): Operation<LockInput, LockOutput> => ({
      client,
      input: { acquire: `c${client}` },
      callUs,
      returnUs: callUs + 5,
      output: { done },
    });
    assert.equal(
      checkLinearizable([acquire(1, 0, true), acquire(2, 2, false)], lockModel, BUDGET).verdict,
      "linearizable",
    );
    assert.equal(
      checkLinearizable([acquire(1, 0, true), acquire(2, 2, true)], lockModel, BUDGET).verdict,
      "not-linearizable",
    );
  });

  it("partitions by key without losing an operation", () => {
    const history = goodHistory(new SeedTree(seed).stream("parts"), 50, 3, 0);
    const parts = partition(history, (operation) => `client ${operation.client}`);
    assert.equal(
      parts.reduce((sum, part) => sum + part.length, 0),
      50,
    );
    for (const part of parts) assert.equal(new Set(part.map(({ client }) => client)).size, 1);
  });
});
