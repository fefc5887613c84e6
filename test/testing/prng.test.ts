import assert from "node:assert/strict";
import { Prng, SeedTree } from "../../src/testing/sim/prng.js";

describe("seeded randomness", () => {
  it("gives the published numbers of xoshiro128** for the state 1, 2, 3, 4", () => {
    const prng = new Prng([1, 2, 3, 4]);
    const first = Array.from({ length: 6 }, () => prng.next());
    assert.deepEqual(first, [11520, 0, 5927040, 70819200, 2031721883, 1637235492]);
  });

  it("gives the same stream for the same seed and name, and another one otherwise", () => {
    const take = (seed: number, name: string): string =>
      Array.from(
        { length: 4 },
        (
          (prng) => () =>
            prng.next()
        )(new SeedTree(seed).stream(name)),
      ).join();
    assert.equal(take(7, "net"), take(7, "net"));
    const all = [take(7, "net"), take(8, "net"), take(7, "disk"), take(7 + 2 ** 40, "net"), take(0, "net")];
    assert.equal(new Set(all).size, all.length);
  });

  it("refuses seeds that are not whole numbers", () => {
    assert.throws(() => new SeedTree(-1), /whole number/);
    assert.throws(() => new SeedTree(0.5), /whole number/);
  });

  it("stays within bounds and covers them", () => {
    const prng = new SeedTree(3).stream("bounds");
    const seen = new Set<number>();
    for (let i = 0; i < 1000; i++) seen.add(prng.between(3, 7));
    assert.deepEqual(
      [...seen].sort((x, y) => x - y),
      [3, 4, 5, 6, 7],
    );
  });
});
