import assert from "node:assert/strict";
import { Call } from "../../src/client/call.js";
import { Pauses } from "../../src/client/pauses.js";
import { SEED, World } from "./world.js";

describe("pauses between the repeats of a call", () => {
  let world: World;
  let over: { call: Call; atMs: number }[];
  let pauses: Pauses;

  beforeEach(() => {
    world = new World();
    over = [];
    pauses = new Pauses(world.runtime, (call) => over.push({ call, atMs: world.nowMs }));
  });

  const call = () => new Call(1, { body: {}, mutating: false }, Number.POSITIVE_INFINITY, 0);

  it("last at least as long as the node has asked for, and are over once", async () => {
    const one = call();
    pauses.begin(one, 300);
    assert.deepEqual(pauses.all(), [one]);
    await world.pass(299);
    assert.equal(over.length, 0);
    await world.pass(10_000);
    assert.equal(over.length, 1, `SEED=${SEED}`);
    assert.deepEqual(pauses.all(), []);
  });

  it("get longer from one repeat to the next, up to half a second", async () => {
    const one = call();
    const lengths: number[] = [];
    for (let repeat = 0; repeat < 30; repeat++) {
      const sinceMs = world.nowMs;
      pauses.begin(one, 0);
      await world.until(() => over.length === repeat + 1);
      lengths.push(world.nowMs - sinceMs);
    }
    assert.ok((lengths[0] as number) <= 20, `${lengths.join()} SEED=${SEED}`);
    assert.ok(Math.max(...lengths.slice(10)) > 100, `${lengths.join()} SEED=${SEED}`);
    assert.ok(Math.max(...lengths) <= 500, `${lengths.join()} SEED=${SEED}`);
  });

  it("one that was ended early does not cut the next one short", async () => {
    const one = call();
    pauses.begin(one, 100);
    assert.equal(pauses.end(one), true);
    assert.equal(pauses.end(one), false, "it waits no longer");
    pauses.begin(one, 1_000);
    await world.pass(999);
    assert.equal(over.length, 0);
    await world.pass(2);
    assert.equal(over.length, 1);
  });

  it("begun again while one lasts: the later one counts, once", async () => {
    const one = call();
    pauses.begin(one, 100);
    pauses.begin(one, 1_000);
    await world.pass(10_000);
    assert.deepEqual(
      over.map(({ atMs }) => atMs),
      [1_000],
    );
  });
});
