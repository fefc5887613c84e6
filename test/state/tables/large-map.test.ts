import assert from "node:assert/strict";
import { LargeMap } from "../../../src/state/tables/large-map.js";

/** Beyond what one map holds, so that both forms are exercised. */
const MANY = 20_000;

describe("large map", () => {
  it("is a map, small and large, like the engine's own", () => {
    const model = new Map<string, number>();
    const map = new LargeMap<number>();
    for (let i = 0; i < MANY; i++) {
      // Short and long keys, and keys that agree in most of their characters.
      const key =
        i % 3 === 0 ? String(i) : i % 3 === 1 ? `folder-${i % 50}/file-${i}.data` : "x".repeat(i % 700);
      map.set(key, i);
      model.set(key, i);
      if (i % 7 === 0)
        assert.equal(
          map.delete(`folder-${i % 50}/file-${i}.data`),
          model.delete(`folder-${i % 50}/file-${i}.data`),
        );
    }
    assert(model.size > 8192, "the model is too small to have made the map spread");
    assert.equal(map.size, model.size);
    for (const [key, value] of model) assert.equal(map.get(key), value);
    assert.equal(map.get("never"), undefined);
    assert.equal(map.has("never"), false);
    assert.equal(map.delete("never"), false);
    const byKey = ([a]: [string, number], [b]: [string, number]) => (a < b ? -1 : 1);
    assert.deepEqual([...map.entries()].sort(byKey), [...model].sort(byKey));
    const byValue = (a: number, b: number) => a - b;
    assert.deepEqual([...map.values()].sort(byValue), [...model.values()].sort(byValue));
    for (const key of model.keys()) assert(map.delete(key));
    assert.equal(map.size, 0);
    assert.deepEqual([...map.entries()], []);
  });

  it("hands out the small map of a key for several steps", () => {
    const map = new LargeMap<number>();
    for (let i = 0; i < MANY; i++) {
      const at = map.at(`key-${i}`);
      assert.equal(at.get(`key-${i}`), undefined);
      at.set(`key-${i}`, i);
    }
    assert.equal(map.size, MANY);
    assert.equal(map.get(`key-${MANY - 1}`), MANY - 1);
    assert.equal(map.get("key-0"), 0);
  });
});
