import assert from "node:assert/strict";
import { CallsEnd } from "../../src/testing/checkers/index.js";
import { EditBoard, EditRound } from "../../src/testing/cluster-world/edit-board.js";
import type { FileInput, FileOutput } from "../../src/testing/linearizability/index.js";
import { Prng } from "../../src/testing/sim/prng.js";
import { Violation } from "../../src/testing/sim/simulation.js";

type Step = readonly [client: number, input: FileInput, output: FileOutput, fromUs: number, toUs: number];

/** A round in which each call ran from one time to another; they are begun in the order given. */
async function round(steps: readonly Step[]): Promise<EditRound> {
  const made = new EditRound("f", "append");
  for (const [client, input, output, fromUs, toUs] of steps) {
    const times = [fromUs, toUs];
    await made.recorded(
      client,
      input,
      () => times.shift() ?? 0,
      () => Promise.resolve(output),
    );
  }
  return made;
}

const found = (content: string): Step => [1, { content: true }, { content }, 100, 101];

describe("edits of a small file", () => {
  const appended: Step = [1, { append: "a", length: 4 }, { offset: 0 }, 1, 5];
  const cut: Step = [1, { size: 2 }, {}, 10, 20];
  const written: Step = [2, { write: "w", length: 2, offset: 4 }, {}, 12, 14];

  it("fit into an order, whichever of two at once comes first", async () => {
    for (const content of ["aa", "aa\0\0ww"])
      assert.equal((await round([appended, cut, written, found(content)])).check(), "linearizable");
  });

  it("do not when something answered is gone, stands twice, or an append is not where it was answered for", async () => {
    const after: Step = [2, { write: "w", length: 2, offset: 4 }, {}, 30, 31];
    const elsewhere: Step = [1, { append: "b", length: 2 }, { offset: 8 }, 40, 41];
    const wrong: Step[][] = [
      [appended, cut, after, found("aa")],
      [appended, after, found("aaaaw")],
      [appended, found("aaaaaaaa")],
      [appended, after, elsewhere, found("aaaawwbb")],
    ];
    for (const steps of wrong) {
      const made = await round(steps);
      assert.throws(
        () => made.check(),
        { name: "Violation", message: /edits of a file/ },
        JSON.stringify(steps),
      );
    }
  });

  it("are not all answered when a call failed", async () => {
    const made = new EditRound("f", "truncate");
    const failing = made.recorded(
      1,
      { size: 0 },
      () => 1,
      () => Promise.reject(new Error("unknown")),
    );
    await assert.rejects(failing);
    assert.equal(made.answered, false);
  });

  it("are begun and ended together, until somebody is stopped", async () => {
    const board = new EditBoard("f", 2, new Prng([1, 2, 3, 4]));
    const [one, other] = await Promise.all([board.next(), board.next()]);
    assert.equal(one, other);
    const waiting = board.next();
    board.stop();
    assert.equal(await waiting, null);
    assert.equal(await board.next(), null);
  });
});

describe("calls of stopped clients", () => {
  it("are a violation while one has no end", async () => {
    const calls = new CallsEnd();
    let answer = () => {};
    const program = calls.follow("client 7", new Promise<void>((resolve) => (answer = resolve)));
    assert.equal(calls.ended, false);
    assert.throws(
      () => calls.check(20e6),
      (error: unknown) => error instanceof Violation && /client 7.*20 s after/.test(error.message),
    );
    answer();
    await program;
    calls.check(20e6);
  });
});
