import assert from "node:assert/strict";
import fc from "fast-check";
import { NumberWindow } from "../../src/replica/number-window.js";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

/** What is done to the window: a few new numbers, some of them skipped, or the deletion of one that may be known. */
const steps = fc.array(
  fc.oneof(
    fc.record({ skip: fc.nat(3), add: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ delete: fc.nat(2_000) }),
    fc.record({ deleteOldest: fc.integer({ min: 1, max: 40 }) }),
  ),
  { minLength: 1, maxLength: 300 },
);

describe("NumberWindow", () => {
  it(`holds what a Map would hold, in the order of the numbers (SEED=${seed})`, () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 0, max: 2 ** 40 }), (list, first) => {
        const window = new NumberWindow<string>();
        const model = new Map<number, string>();
        let next = first;
        const forget = (number: number) => assert.equal(window.delete(number), model.delete(number));
        for (const step of list) {
          if ("add" in step) {
            next += step.skip;
            for (let i = 0; i < step.add; i++, next++) {
              window.set(next, `v${next}`);
              model.set(next, `v${next}`);
            }
          } else if ("delete" in step) forget(first + step.delete);
          else for (const number of [...model.keys()].slice(0, step.deleteOldest)) forget(number);
          assert.equal(window.size, model.size);
        }
        assert.deepEqual([...window.values()], [...model.values()]);
        for (let number = first; number <= next; number++)
          assert.equal(window.get(number), model.get(number), `number ${number}`);
      }),
      { seed, numRuns: 300 },
    );
  });

  it("widens while one old number stays, and forgets nothing", () => {
    const window = new NumberWindow<number>();
    for (let number = 5; number < 10_000; number++) {
      window.set(number, number);
      if (number > 5 && number % 3 !== 0) window.delete(number);
    }
    assert.equal(window.get(5), 5);
    assert.equal(window.get(9_999), 9_999);
    assert.equal(window.get(9_998), undefined);
    assert.deepEqual([...window.values()], [5, ...Array.from({ length: 3_332 }, (_, i) => 6 + 3 * i)]);
  });

  it("replaces the value of a known number, and refuses one that was passed over", () => {
    const window = new NumberWindow<string>();
    window.set(7, "a");
    window.set(9, "b");
    window.set(7, "c");
    assert.deepEqual([window.size, window.get(7)], [2, "c"]);
    assert.throws(() => window.set(8, "late"), /number 8 comes after 9/);
    assert.throws(() => window.set(6, "late"), /number 6 comes after 9/);
  });

  it("begins anywhere once it is empty", () => {
    const window = new NumberWindow<string>();
    window.set(2 ** 45, "far");
    window.delete(2 ** 45);
    window.set(3, "near");
    assert.equal(window.get(3), "near");
    window.clear();
    assert.deepEqual([window.size, window.get(3), [...window.values()]], [0, undefined, []]);
  });
});
