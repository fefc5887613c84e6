import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { digestOf } from "../../src/filenode/effects/append.js";
import { performEffect, resolveEffect } from "../../src/filenode/effects/index.js";
import { PosixVfs } from "../../src/filenode/vfs/posix-vfs.js";
import { v1 } from "../../src/wire/index.js";
import { createDisk, type TestDisk } from "../chaos/disks.js";

const TRIES = 5;
/** Time for a write to get into the kernel; nothing shows when it is there. Too short makes the test miss, not fail. */
const INTO_KERNEL_MS = 60;

describe("a share that the kernel has frozen", function () {
  this.timeout(60_000);

  it("holds the write of an append, and its next owner finds it after the thaw", async function () {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-hung-"));
    let disk: TestDisk;
    try {
      disk = await createDisk(folder, "share", 64);
    } catch (error) {
      console.log(`      SKIPPED: no small file system can be mounted here: ${String(error)}`);
      await rm(folder, { recursive: true });
      return this.skip();
    }
    const old = await PosixVfs.open(disk.mountPoint);
    const next = await PosixVfs.open(disk.mountPoint);
    const data = new TextEncoder().encode("record\n");
    try {
      for (let id = 1; id <= TRIES; id++) {
        const path = `f${id}`;
        const file = await old.create(path);
        const { fileId } = await file.stat();
        await file.close();
        const kind = v1.EffectKind.EFFECT_APPEND;
        const effect = { id, kind, path, fileId, length: data.length, dataDigest: digestOf(data) };
        await disk.freeze();
        const late = performEffect(old, effect, data);
        await sleep(INTO_KERNEL_MS);
        const resolved = resolveEffect(next, effect);
        await sleep(INTO_KERNEL_MS);
        await disk.thaw();
        assert.equal((await resolved).size, data.length, `try ${id}`);
        await late;
        assert.equal(await readFile(join(disk.mountPoint, path), "utf8"), "record\n");
      }
    } finally {
      await disk.thaw();
      await Promise.all([old.close(), next.close()]);
      await disk.close();
      await rm(folder, { recursive: true });
    }
  });
});
