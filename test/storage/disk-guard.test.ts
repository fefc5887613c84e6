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
    release: async (bytes) => {
      const given = Math.min(bytes, disk.reserved);
      disk.freeBytes += given;
      disk.reserved -= given;
      return given;
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

  it("declares the disk full below the threshold, not at it, and keeps the reserve for writes that find no space", async () => {
    const { disk, guard, changes, delays } = bench(1000);
    await guard.start();
    disk.freeBytes = 100;
    await guard.look();
    assert.equal(guard.full, false);
    disk.freeBytes = 99;
    await guard.look();
    assert.equal(guard.full, true);
    assert.deepEqual(
      [disk.reserved, disk.freeBytes],
      [50, 99],
      "whoever fills the disk would take what is given back now",
    );
    assert.deepEqual(changes, [true]);
    assert.deepEqual(delays, [1000, 1000, 250], "looks more often while it is full");
  });

  it("recovers by itself when space returns, with a gap, and only with its reserve", async () => {
    const { disk, guard, changes } = bench(1000);
    await guard.start();
    disk.freeBytes = 0;
    await guard.look();
    while (await guard.ranOut());
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
    assert.equal(await guard.ranOut(), true);
    assert.deepEqual([guard.full, disk.reserved], [true, 37]);
    await guard.look();
    assert.deepEqual(changes, [true, false]);
    assert.equal(disk.reserved, 50);
  });

  it("gives the reserve back in parts, so that whoever fills the disk does not take all of it at once", async () => {
    const { disk, guard } = bench(1000);
    await guard.start();
    const given: number[] = [];
    disk.freeBytes = 0;
    while (await guard.ranOut()) {
      given.push(disk.freeBytes);
      disk.freeBytes = 0;
    }
    assert.deepEqual(given, [13, 13, 13, 11]);
    assert.equal(disk.reserved, 0);
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
      assert.equal(await space.release(1_000_000), 1_000_000);
      assert.equal(statSync(file).size, 2_000_000);
      assert.equal(await space.reserve(3_000_000), true);
      assert.deepEqual([statSync(file).size, statSync(file).blocks * 512 >= 3_000_000], [3_000_000, true]);
      assert.equal(await space.release(4_000_000), 3_000_000);
      assert.equal(await space.release(1), 0);
      assert.deepEqual(readdirSync(folder), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
