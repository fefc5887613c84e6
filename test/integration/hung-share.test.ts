import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../src/filenode/effects/append.js";
import { performEffect, resolveEffect } from "../../src/filenode/effects/index.js";
import { PosixVfs } from "../../src/filenode/vfs/posix-vfs.js";
import { v1 } from "../../src/wire/index.js";
import { createDisk, type TestDisk } from "../chaos/disks.js";
import { until } from "./cluster.js";

const TRIES = 5;

/** Threads of this process that the kernel holds in an uninterruptible wait, as it does what writes to a frozen file system. */
function threadsHeld(): number {
  const states = readdirSync("/proc/self/task").map((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "utf8");
    return stat.charAt(stat.lastIndexOf(")") + 2);
  });
  return states.filter((state) => state === "D").length;
}

describe("a share that the kernel has frozen", function () {
  this.timeout(240_000);

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
        await until("the write hangs in the kernel", 60_000, () => threadsHeld() >= 1);
        let settled = false;
        const resolved = resolveEffect(next, effect).finally(() => (settled = true));
        // An owner that does not wait comes to its end while the write still hangs; the thaw then shows what that does.
        await Promise.race([
          until("the next owner waits for it", 60_000, () => threadsHeld() >= 2),
          resolved.catch(() => undefined),
        ]);
        assert.equal(settled, false, "resolved while the share hung");
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
