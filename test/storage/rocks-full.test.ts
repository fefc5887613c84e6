import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memoryLog, memoryMeter, realScheduler, type KvStore } from "../../src/runtime/index.js";
import { DiskGuard, folderSpace, openRocks } from "../../src/storage/index.js";
import { createDisk, type TestDisk } from "../chaos/disks.js";
import { until } from "../until.js";

const MIB = 1024 * 1024;
const RESERVE_BYTES = 16 * MIB;

describe("a disk that becomes full at once, on a small file system", function () {
  this.timeout(60_000);
  let folder = "";
  let disk: TestDisk;
  let guard: DiskGuard;
  let store: KvStore;
  const written: number[] = [];

  before(async function () {
    folder = mkdtempSync(join(tmpdir(), "holdfast-full-"));
    try {
      disk = await createDisk(folder, "disk", 160);
    } catch (error) {
      console.log(`      SKIPPED: no small file system can be mounted here: ${String(error)}`);
      this.skip();
    }
  });

  after(async () => {
    await guard?.stop();
    await disk?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Writes until `until` writes are under way or done; answers when the last has been answered. */
  function write(count: number): Promise<void> {
    const jobs = Array.from({ length: count }, () => {
      const n = written.length;
      written.push(n);
      const value = Buffer.alloc(32 * 1024, n % 251);
      return new Promise<void>((resolve, reject) =>
        store.write([{ type: "put", key: Buffer.from(`k${n}`), value }], { sync: n % 3 !== 0 }, (error) =>
          error ? reject(error) : resolve(),
        ),
      );
    });
    return Promise.all(jobs).then(() => undefined);
  }

  async function holdsAll(): Promise<void> {
    for (const n of written) {
      const value = await store.get(Buffer.from(`k${n}`));
      assert.equal(value?.length, 32 * 1024, `k${n} is there`);
      assert.equal(value?.[100], n % 251);
    }
  }

  it("goes on at once with what was set aside, and keeps all that it acknowledged", async () => {
    guard = new DiskGuard(
      folderSpace(disk.mountPoint),
      { scheduler: realScheduler, log: memoryLog(), meter: memoryMeter() },
      // Looks so seldom that only a failed write can tell it.
      { reserveBytes: RESERVE_BYTES, fullBytes: MIB, recoveredBytes: 2 * MIB, intervalMs: 3_600_000 },
    );
    await guard.start();
    const options = { writeBufferBytes: 4 * MIB, makeRoom: () => guard.ranOut() };
    store = await openRocks(join(disk.mountPoint, "db"), options);
    await write(20);
    await disk.fill(0);
    // The log's file was given room for a write buffer when it was made; this is more.
    await write(200);
    assert.equal(guard.full, true, "the failed write told the guard");
    await holdsAll();
  });

  it("waits while there is no room at all, and goes on by itself when there is", async () => {
    await disk.fill(0);
    let done = false;
    const writing = write(600).then(() => (done = true));
    await until(
      "the disk is used up",
      20_000,
      async () => (await folderSpace(disk.mountPoint).freeBytes()) < MIB,
    );
    const view = store.iterate.bind(store);
    await until("the database is away", 20_000, () => {
      try {
        void view(Buffer.from("a"), Buffer.from("b")).close();
        return false;
      } catch (error) {
        return /is full/.test(String(error));
      }
    });
    assert.equal(done, false);
    await disk.unfill();
    await writing;
    await holdsAll();
    await store.close();
    store = await openRocks(join(disk.mountPoint, "db"));
    await holdsAll();
    await store.close();
  });

  it("latches without a way to make room, and says that the disk is full", async () => {
    store = await openRocks(join(disk.mountPoint, "db2"), { writeBufferBytes: MIB });
    await disk.fill(0);
    await assert.rejects(write(200), /the data folder's disk is full/);
    await assert.rejects(write(1), /the data folder's disk is full/);
    await disk.unfill();
    await store.close();
  });

  describe("with a reserve and somebody who takes whatever is free", () => {
    beforeEach(async () => {
      guard = new DiskGuard(
        folderSpace(disk.mountPoint),
        { scheduler: realScheduler, log: memoryLog(), meter: memoryMeter() },
        { reserveBytes: RESERVE_BYTES, fullBytes: MIB, recoveredBytes: 2 * MIB, intervalMs: 3_600_000 },
      );
      await guard.start();
      written.length = 0;
    });
    afterEach(async () => {
      await disk.unfill();
      await store.close();
    });

    it("goes on while a part of it is left", async () => {
      let parts = 0;
      const makeRoom = async (): Promise<boolean> => {
        const given = await guard.ranOut();
        if (++parts <= 2) await disk.fill(0);
        return given;
      };
      store = await openRocks(join(disk.mountPoint, "db3"), { writeBufferBytes: MIB, makeRoom });
      await write(20);
      await disk.fill(0);
      await write(40);
      assert.ok(parts > 2, `${parts} parts were given back`);
      await holdsAll();
    });

    it("opens its database on it", async () => {
      const options = { makeRoom: () => guard.ranOut() };
      store = await openRocks(join(disk.mountPoint, "db4"), options);
      await write(60);
      await store.close();
      await disk.fill(0);
      await assert.rejects(openRocks(join(disk.mountPoint, "db4")), /no space left/);
      store = await openRocks(join(disk.mountPoint, "db4"), options);
      await holdsAll();
      assert.equal(guard.full, true);
    });
  });
});
