import assert from "node:assert/strict";
import { CallsEnd } from "../../src/testing/checkers/index.js";
import { EditBoard, type EditKind, EditRound } from "../../src/testing/cluster-world/edit-board.js";
import type { FileInput, FileOutput } from "../../src/testing/linearizability/index.js";
import { Prng } from "../../src/testing/sim/prng.js";
import { Violation } from "../../src/testing/sim/simulation.js";

type Step = readonly [client: number, input: FileInput, output: FileOutput, fromUs: number, toUs: number];

/**
 * A round in which each call ran from one time to another; they are begun in the order given. A loss of power tears a write
 * while those in `torn` are under way.
 */
async function round(
  steps: readonly Step[],
  torn: readonly Step[] = [],
  kind: EditKind = "append",
): Promise<EditRound> {
  const made = new EditRound("f", kind);
  for (const step of steps) {
    const [client, input, output, fromUs, toUs] = step;
    const times = [fromUs, toUs];
    const tornWrites = [0, torn.includes(step) ? 1 : 0];
    await made.recorded(
      client,
      input,
      () => times.shift() ?? 0,
      () => Promise.resolve(output),
      () => tornWrites.shift() ?? 0,
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

  it("may show a beginning of a write that a loss of power tore, to an append before it was answered", async () => {
    const whole: Step = [2, { write: "w", length: 3, offset: 4 }, {}, 10, 50];
    const behind = (offset: number): Step => [1, { append: "b", length: 2 }, { offset }, 20, 30];
    const steps = [appended, whole, behind(6), found("aaaawwwb")];
    assert.equal((await round(steps, [whole])).check(), "linearizable");
    const answered: Step = [2, { write: "w", length: 3, offset: 4 }, {}, 10, 15];
    const wrong: [Step[], Step[], EditKind][] = [
      [steps, [], "append"],
      [steps, [whole], "truncate"],
      [[appended, whole, behind(6), found("aaaawwbb")], [whole], "append"],
      [[appended, whole, behind(8), found("aaaawww\0bb")], [whole], "append"],
      [[appended, answered, behind(6), found("aaaawwbb")], [answered], "append"],
    ];
    for (const [made, torn, kind] of wrong) {
      const judged = await round(made, torn, kind);
      assert.throws(() => judged.check(), { name: "Violation" }, JSON.stringify(made));
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
