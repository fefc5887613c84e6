import assert from "node:assert/strict";
import fc from "fast-check";
import {
  isValidRange,
  lockForbids,
  type RangeUse,
  rangesMeet,
} from "../../../src/state/rules/lock-conflict.js";
import { fromBigInt, toBigInt, U64_MAX } from "../../../src/wire/index.js";

const range = { offset: 10, length: 10 };

describe("rules: byte-range locks (semantics F2)", () => {
  it("the conflict table", () => {
    const rows: [exclusive: boolean, same: boolean, forbids: readonly RangeUse[]][] = [
      [false, true, ["write", "lockExclusive"]],
      [false, false, ["write", "lockExclusive"]],
      [true, true, ["lockExclusive"]],
      [true, false, ["read", "write", "lockShared", "lockExclusive"]],
    ];
    for (const [exclusive, same, forbids] of rows) {
      for (const use of ["read", "write", "lockShared", "lockExclusive"] as const) {
        const label = `${exclusive ? "exclusive" : "shared"}, ${same ? "same" : "other"} open, ${use}`;
        assert.equal(lockForbids({ ...range, exclusive }, same, use, range), forbids.includes(use), label);
      }
    }
  });

  it("ranges that end at 2^64-1 are valid, longer ones are not", () => {
    const last = fromBigInt(U64_MAX);
    assert.equal(isValidRange({ offset: last, length: 1 }), true);
    assert.equal(isValidRange({ offset: last, length: 0 }), true);
    assert.equal(isValidRange({ offset: last, length: 2 }), false);
    assert.equal(isValidRange({ offset: 0, length: last }), true);
    assert.equal(isValidRange({ offset: 1, length: last }), true);
    assert.equal(isValidRange({ offset: 2, length: last }), false);
  });

  it("numbers and bigints give the same answers, near zero and across 2^53", () => {
    const near = fc.oneof(fc.bigInt(0n, 6n), fc.bigInt(2n ** 53n - 4n, 2n ** 53n + 4n));
    const length = fc.oneof(fc.bigInt(0n, 6n), fc.bigInt(2n ** 53n - 4n, 2n ** 53n + 4n));
    fc.assert(
      fc.property(near, length, near, length, (aOffset, aLength, bOffset, bLength) => {
        const a = { offset: fromBigInt(aOffset), length: fromBigInt(aLength) };
        const b = { offset: fromBigInt(bOffset), length: fromBigInt(bLength) };
        assert.equal(rangesMeet(a, b), slow(a, b));
        assert.equal(rangesMeet(b, a), rangesMeet(a, b), "symmetric");
      }),
      { seed: Number(process.env["SEED"] ?? 1) },
    );
  });
});

/** The definition, by last bytes. */
function slow(a: { offset: number; length: number }, b: { offset: number; length: number }): boolean {
  const [aOffset, aLength, bOffset, bLength] = [a.offset, a.length, b.offset, b.length].map(toBigInt) as [
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const aLast = aOffset + aLength - 1n;
  const bLast = bOffset + bLength - 1n;
  if (aLength === 0n && bLength === 0n) return false;
  if (aLength === 0n) return aOffset <= bLast && aLast >= bOffset;
  if (bLength === 0n) return bOffset <= aLast && bLast >= aOffset;
  return aOffset <= bLast && bOffset <= aLast;
}
