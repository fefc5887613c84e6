import assert from "node:assert/strict";
import { OpenFile } from "../../src/filenode/open-file.js";
import { conflictingLock, rangeLock } from "../../src/filenode/range-locks.js";
import { fromBigInt, U64_MAX } from "../../src/wire/index.js";

const lock = (handle: string, offset: number, length: number, exclusive: boolean) =>
  rangeLock(handle, { offset, length, exclusive });

describe("I/O and byte-range locks (semantics.md F2)", () => {
  // existing lock x who x what: the table of F2.
  const cells: readonly (readonly [exclusive: boolean, own: boolean, write: boolean, conflict: boolean])[] = [
    [false, true, false, false],
    [false, true, true, true],
    [false, false, false, false],
    [false, false, true, true],
    [true, true, false, false],
    [true, true, true, false],
    [true, false, false, true],
    [true, false, true, true],
  ];
  for (const [exclusive, own, write, conflict] of cells)
    it(`${exclusive ? "exclusive" : "shared"} lock of ${own ? "the same" : "another"} open, ${write ? "write" : "read"}: ${conflict ? "conflict" : "ok"}`, () => {
      const locks = [lock("a", 10, 10, exclusive)];
      const found = conflictingLock(locks, own ? "a" : "b", 15, 1, write);
      assert.equal(found !== undefined, conflict);
    });

  it("meets at the edges and nowhere else", () => {
    const locks = [lock("a", 10, 10, true)];
    const write = (offset: number, length: number) => conflictingLock(locks, "b", offset, length, true);
    assert.equal(write(0, 10), undefined);
    assert.notEqual(write(0, 11), undefined);
    assert.notEqual(write(19, 1), undefined);
    assert.equal(write(20, 5), undefined);
    assert.equal(write(12, 0), undefined);
  });

  it("treats locks of zero length as a point that is strictly spanned", () => {
    const point = [lock("a", 10, 0, true)];
    assert.notEqual(conflictingLock(point, "b", 9, 2, true), undefined);
    assert.equal(conflictingLock(point, "b", 10, 1, true), undefined);
    assert.equal(conflictingLock(point, "b", 9, 1, true), undefined);
    assert.equal(conflictingLock([lock("a", 0, 0, true)], "b", 0, 100, true), undefined);
  });

  it("reaches to 2^64-1 without losing its place", () => {
    const far = rangeLock("a", { offset: fromBigInt(U64_MAX - 5n), length: 5, exclusive: true });
    assert.equal(conflictingLock([far], "b", 0, 2 ** 40, true), undefined);
    const wide = rangeLock("a", { offset: 0, length: fromBigInt(U64_MAX), exclusive: true });
    assert.notEqual(conflictingLock([wide], "b", 2 ** 50, 1, false), undefined);
  });

  it("lets a new lock settle only when the I/O under way in its range has ended", async () => {
    const file = new OpenFile("s", "f");
    const inside = file.begin("b", 10, 5, true);
    const outside = file.begin("b", 100, 5, true);
    file.announce([{ handleId: new Uint8Array([1]), offset: 0, length: 20, exclusive: true }], 5);
    let settled = false;
    const wait = file.settled().then(() => {
      settled = true;
    });
    await Promise.resolve();
    assert.equal(settled, false);
    file.end(inside);
    await wait;
    file.end(outside);
  });

  it("takes the newest table, whichever comes last", () => {
    const file = new OpenFile("s", "f");
    file.setLocks([{ handleId: new Uint8Array([1]), offset: 0, length: 5, exclusive: true }], 9);
    file.setLocks([], 8);
    assert.equal(file.locks.length, 1);
    file.setLocks([], 9);
    assert.equal(file.locks.length, 0);
  });

  it("keeps what came after a table that comes late, and nothing for longer", () => {
    const file = new OpenFile("s", "f");
    const ranges = [{ handleId: new Uint8Array([1]), offset: 0, length: 5, exclusive: true }];
    file.announce(ranges, 7);
    file.setLocksOf("own", [{ offset: 10, length: 5, exclusive: true }], 6);
    file.setLocksOf("own", [], 5);
    file.setLocks([], 4);
    assert.deepEqual(new Set(file.locks.map(({ offset }) => offset)), new Set([0, 10]));
    file.setLocks([], 8);
    assert.deepEqual(file.locks, []);
  });
});
