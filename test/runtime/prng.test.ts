import assert from "node:assert/strict";
import fc from "fast-check";
import { Prng } from "../../src/runtime/prng.js";

describe("Prng", () => {
  it("gives the numbers of the reference implementation of xoshiro128**", () => {
    const random = new Prng(0x964d4a0c, 0xd40ab895, 0xad7fdecb, 0x3006f0f0);
    const expected = [0xf1391922, 0x6fe53806, 0xa5be2840, 0xf510ee70];
    assert.deepEqual(
      expected.map(() => random.next()),
      expected,
    );
  });

  it("gives the same sequence for the same seed, another for its neighbour, also above 2^32", () => {
    const take = (seed: number) => Array.from({ length: 20 }, (_, i, random = seeded(seed, i)) => random);
    const seeded = (seed: number, skip: number) => {
      const random = Prng.fromSeed(seed);
      for (let i = 0; i < skip; i++) random.next();
      return random.next();
    };
    assert.deepEqual(take(42), take(42));
    for (const [a, b] of [
      [42, 43],
      [0, 2 ** 32],
      [1, 2 ** 32 + 1],
      [2 ** 53 - 2, 2 ** 53 - 1],
    ] as const)
      assert.notDeepEqual(take(a), take(b), `${a} and ${b}`);
  });

  it("stays within the bound and reaches every value of a small one", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 2 ** 32 - 1 }), (seed, bound) => {
        const drawn = Prng.fromSeed(seed).below(bound);
        assert(Number.isInteger(drawn) && drawn >= 0 && drawn < bound);
      }),
    );
    const random = Prng.fromSeed(3);
    const counts = new Map<number, number>();
    for (let i = 0; i < 60_000; i++) {
      const drawn = random.below(6);
      counts.set(drawn, (counts.get(drawn) ?? 0) + 1);
    }
    assert.deepEqual(
      [...counts.keys()].sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5],
    );
    // 10,000 expected each, standard deviation 91; the seed is fixed, so this holds or fails for ever.
    for (const count of counts.values()) assert(Math.abs(count - 10_000) < 400, `${count} of 60000`);
  });

  it("refuses seeds and bounds that would quietly be something else", () => {
    for (const seed of [-1, 1.5, 2 ** 53, Number.NaN]) assert.throws(() => Prng.fromSeed(seed), RangeError);
    for (const bound of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN])
      assert.throws(() => Prng.fromSeed(1).below(bound), RangeError);
    assert.throws(() => new Prng(0, 0, 0, 0), RangeError);
    assert.equal(typeof Prng.fromSeed(1).below(2 ** 32), "number");
  });

  it("forks generators that do not shift each other", () => {
    const parent = Prng.fromSeed(9);
    const [first, second] = [parent.fork(), parent.fork()];
    const expected = [second.next(), second.next()];
    const again = Prng.fromSeed(9);
    const [other, same] = [again.fork(), again.fork()];
    for (let i = 0; i < 100; i++) other.next();
    assert.deepEqual([same.next(), same.next()], expected);
    assert.notEqual(first.next(), expected[0]);
  });
});
