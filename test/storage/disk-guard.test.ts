import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memoryLog, memoryMeter, type Scheduler } from "../../src/runtime/index.js";
import { DiskGuard, folderSpace, type DiskSpace } from "../../src/storage/index.js";

/** A disk of a size that the test sets, and a scheduler that the test drives. */
function bench(freeBytes: number) {
  const disk = { freeBytes, reserved: 0, fails: false };
  const space: DiskSpace = {
    freeBytes: async () => {
      if (disk.fails) throw new Error("EIO");
      return disk.freeBytes;
    },
    reserve: async (bytes) => {
      const more = bytes - disk.reserved;
      if (more > disk.freeBytes) return false;
      disk.freeBytes -= more;
      disk.reserved = bytes;
      return true;
    },
    release: async () => {
      disk.freeBytes += disk.reserved;
      disk.reserved = 0;
    },
  };
  const delays: number[] = [];
  const scheduler: Scheduler = {
    after: (delayMs) => {
      delays.push(delayMs);
      return { cancel: () => {} };
    },
    soon: () => {},
  };
  const log = memoryLog();
  const guard = new DiskGuard(
    space,
    { scheduler, log, meter: memoryMeter() },
    { reserveBytes: 50, fullBytes: 100, recoveredBytes: 200, intervalMs: 1000, fullIntervalMs: 250 },
  );
  const changes: boolean[] = [];
  guard.onChange((full) => changes.push(full));
  return { disk, guard, changes, delays, log };
}

describe("DiskGuard", () => {
  it("sets the reserve aside while there is room", async () => {
    const { disk, guard, changes } = bench(1000);
    await guard.start();
    assert.deepEqual([disk.reserved, disk.freeBytes, guard.full], [50, 950, false]);
    assert.deepEqual(changes, []);
  });

  it("declares the disk full below the threshold and gives the reserve back; not at it", async () => {
    const { disk, guard, changes, delays } = bench(1000);
    await guard.start();
    disk.freeBytes = 100;
    await guard.look();
    assert.equal(guard.full, false);
    disk.freeBytes = 99;
    await guard.look();
    assert.equal(guard.full, true);
    assert.deepEqual([disk.reserved, disk.freeBytes], [0, 149], "the reserve is there to be used");
    assert.deepEqual(changes, [true]);
    assert.deepEqual(delays, [1000, 1000, 250], "looks more often while it is full");
  });

  it("recovers by itself when space returns, with a gap, and only with its reserve", async () => {
    const { disk, guard, changes } = bench(1000);
    await guard.start();
    disk.freeBytes = 0;
    await guard.look();
    for (const freeBytes of [100, 150, 249]) {
      disk.freeBytes = freeBytes;
      await guard.look();
      assert.equal(guard.full, true, `still full at ${freeBytes}`);
    }
    disk.freeBytes = 250;
    await guard.look();
    assert.equal(guard.full, false);
    assert.deepEqual([disk.reserved, disk.freeBytes], [50, 200]);
    assert.deepEqual(changes, [true, false]);
  });

  it("is full from the start on a full disk, and does not throw when the disk cannot be asked", async () => {
    const { disk, guard, log } = bench(10);
    await guard.start();
    assert.equal(guard.full, true);
    disk.fails = true;
    await guard.look();
    assert.equal(guard.full, true, "what is not known does not change");
    assert.match(JSON.stringify(log.lines.at(-1)), /EIO/);
    await guard.stop();
  });

  it("takes a failed write's word for it, whatever the free space was, and recovers as usual", async () => {
    const { disk, guard, changes } = bench(1000);
    await guard.start();
    await guard.ranOut();
    await guard.ranOut();
    assert.deepEqual([guard.full, disk.reserved], [true, 0]);
    await guard.look();
    assert.deepEqual(changes, [true, false]);
    assert.equal(disk.reserved, 50);
  });

  it("refuses thresholds without a gap", () => {
    const world = {
      scheduler: { after: () => ({ cancel() {} }), soon() {} },
      log: memoryLog(),
      meter: memoryMeter(),
    };
    const space = folderSpace(tmpdir());
    assert.throws(() => new DiskGuard(space, world, { fullBytes: 5, recoveredBytes: 5 }), RangeError);
  });
});

describe("folderSpace", () => {
  it("keeps a real file of the asked size, once, and gives it back", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-space-"));
    try {
      const space = folderSpace(folder);
      assert((await space.freeBytes()) > 0);
      assert.equal(await space.reserve(3_000_000), true);
      const file = join(folder, "reserve");
      const { size, blocks, mtimeMs } = statSync(file);
      assert.equal(size, 3_000_000);
      assert(blocks * 512 >= 3_000_000, "a file with holes reserves nothing");
      assert.equal(await space.reserve(3_000_000), true);
      assert.equal(statSync(file).mtimeMs, mtimeMs, "not written again");
      writeFileSync(file, "short");
      assert.equal(await space.reserve(3_000_000), true);
      assert.equal(statSync(file).size, 3_000_000);
      await space.release();
      await space.release();
      assert.deepEqual(readdirSync(folder), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
