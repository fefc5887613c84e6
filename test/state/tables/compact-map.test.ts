import assert from "node:assert/strict";
import fc from "fast-check";
import { CompactMap, hashOf } from "../../../src/state/tables/compact-map.js";

/** Equal in size and in what each key gives, whichever way it is asked. */
function assertEqual(map: CompactMap<number>, model: ReadonlyMap<string, number>): void {
  assert.equal(map.size, model.size);
  for (const [key, value] of model) {
    assert.equal(map.get(key), value, key);
    assert(map.has(key), key);
  }
  const byKey = ([a]: readonly [string, number], [b]: readonly [string, number]) => (a < b ? -1 : 1);
  assert.deepEqual([...map].sort(byKey), [...model].sort(byKey));
  const ascending = (a: number, b: number) => a - b;
  assert.deepEqual([...map.values()].sort(ascending), [...model.values()].sort(ascending));
}

/** As many keys that have one slot in every table of up to 4096. */
function colliding(count: number): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) if ((hashOf(`key-${i}`) & 4095) === 77) keys.push(`key-${i}`);
  return keys;
}

/** SEED and RUNS replay and lengthen. */
const seed = Number(process.env["SEED"] ?? 20_261_122);
const numRuns = Number(process.env["RUNS"] ?? 100);

describe(`compact map (SEED=${seed})`, () => {
  // Half of the keys collide, more than may stand behind one slot; so few that each is set and deleted again and again.
  const crowd = colliding(200);
  const keys = [
    ...crowd,
    ...Array.from({ length: 200 }, (_, i) => `other/${i}`),
    "",
    "\u00ff\u0000",
    "x".repeat(5000),
  ];
  const step = fc.tuple(fc.nat(keys.length - 1), fc.integer({ min: 0, max: 99 }));

  it("does what the engine's map does, whatever collides", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 500, maxLength: 3000 }), fc.nat(99), (steps, deletions) => {
        const model = new Map<string, number>();
        const map = new CompactMap<number>();
        for (const [at, [which, chance]] of steps.entries()) {
          const key = keys[which] as string;
          if (chance < deletions) assert.equal(map.delete(key), model.delete(key));
          else {
            map.set(key, at);
            model.set(key, at);
          }
          assert.equal(map.get(key), model.get(key));
          assert.equal(map.size, model.size);
        }
        assertEqual(map, model);
      }),
      { seed, numRuns },
    );
  });

  it("keeps keys that all collide, and the others with them, while it grows and when it is emptied", () => {
    const model = new Map<string, number>();
    const map = new CompactMap<number>();
    const all = [...colliding(400), ...Array.from({ length: 6000 }, (_, i) => `folder-${i % 9}/file-${i}`)];
    for (const [i, key] of all.entries()) {
      map.set(key, i);
      model.set(key, i);
    }
    assertEqual(map, model);
    for (const [i, key] of all.entries()) {
      if (i % 3 === 0) continue;
      assert(map.delete(key));
      assert(!map.has(key));
      model.delete(key);
    }
    assertEqual(map, model);
    for (const key of all) assert.equal(map.delete(key), model.delete(key));
    assert.equal(map.size, 0);
    assert.deepEqual([...map], []);
  });

  it("tells a value of zero from a key that is not there", () => {
    const map = new CompactMap<number>();
    map.set("zero", 0);
    assert(map.has("zero"));
    assert.equal(map.get("zero"), 0);
    assert.equal(map.has("one"), false);
    assert.equal(map.get("one"), undefined);
    assert.equal(map.delete("one"), false);
  });

  it("gives entries in the same order to whoever did the same", () => {
    const fill = () => {
      const map = new CompactMap<number>();
      for (const [i, key] of keys.entries()) map.set(key, i);
      for (const key of keys.filter((_, i) => i % 5 === 2)) map.delete(key);
      return [...map];
    };
    assert.deepEqual(fill(), fill());
  });
});
