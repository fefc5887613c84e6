import assert from "node:assert/strict";
import { makeMutants } from "../../src/mutants/switches.js";

describe("switches of planted bugs", () => {
  const made = makeMutants({ oneBug: ["L1", "the first"], otherBug: ["B6", "the second"] });

  it("are listed with rule and description, and off", () => {
    assert.deepEqual(made.list, [
      { name: "oneBug", rule: "L1", description: "the first" },
      { name: "otherBug", rule: "B6", description: "the second" },
    ]);
    assert.deepEqual(made.switches, { oneBug: false, otherBug: false });
  });

  it("are planted one at a time and cleared together", () => {
    made.plant("oneBug", true);
    assert.deepEqual(made.switches, { oneBug: true, otherBug: false });
    made.plant("otherBug", true);
    made.plant("oneBug", false);
    assert.deepEqual(made.switches, { oneBug: false, otherBug: true });
    made.clear();
    assert.deepEqual(made.switches, { oneBug: false, otherBug: false });
  });

  it("refuse a name that nobody reads, inherited ones included", () => {
    for (const name of ["noSuchBug", "constructor"]) {
      assert.throws(() => made.plant(name as "oneBug", true), /^RangeError: no mutant named/);
    }
    assert.deepEqual(Object.keys(made.switches), ["oneBug", "otherBug"]);
  });
});
