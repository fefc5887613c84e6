import { mkdir, open, rm, statfs, truncate } from "node:fs/promises";
import { join } from "node:path";
import { command, tryCommand } from "./command.js";

const MIB = 1024 * 1024;

/** A small file system in a file: one that may be filled or frozen without harm to anything else. */
export interface TestDisk {
  readonly mountPoint: string;
  /** Every write blocks until `thaw`: a disk that hangs and does not say so. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Leaves `freeBytes` free. */
  fill(freeBytes: number): Promise<void>;
  unfill(): Promise<void>;
  close(): Promise<void>;
}

/** Makes an ext4 of `megabytes` below `folder` and mounts it. Needs loop devices and the right to mount. */
export async function createDisk(folder: string, name: string, megabytes: number): Promise<TestDisk> {
  const image = join(folder, `${name}.img`);
  const mountPoint = join(folder, name);
  await mkdir(mountPoint, { recursive: true });
  const file = await open(image, "w");
  await file.close();
  await truncate(image, megabytes * MIB);
  await command("mkfs.ext4", ["-q", "-E", "lazy_itable_init=1", image], 30_000);
  await command("mount", ["-o", "loop", image, mountPoint]);
  let frozen = false;
  const filler = join(mountPoint, "filler");
  const disk: TestDisk = {
    mountPoint,
    async freeze() {
      await command("fsfreeze", ["-f", mountPoint]);
      frozen = true;
    },
    async thaw() {
      if (frozen) await command("fsfreeze", ["-u", mountPoint]);
      frozen = false;
    },
    async fill(freeBytes) {
      // Most of it without writing: filling a gigabyte would keep the machine's own disk busy for a minute.
      const { bavail, bsize } = await statfs(mountPoint);
      for (let megabytes = Math.floor((bavail * bsize) / MIB); megabytes > 0; megabytes -= 4)
        if (await tryCommand("fallocate", ["-l", `${megabytes}MiB`, filler])) break;
      const file = await open(filler, "a");
      let { size } = await file.stat();
      const block = new Uint8Array(MIB);
      // Until the kernel says so: what statfs promises and what it gives differ by metadata and reserved blocks.
      for (let length = block.length; length >= 4096; ) {
        try {
          size += (await file.write(block, 0, length)).bytesWritten;
        } catch {
          length = Math.floor(length / 2);
        }
      }
      if (freeBytes > 0) await file.truncate(Math.max(0, size - freeBytes));
      await file.close();
    },
    async unfill() {
      await rm(filler, { force: true });
    },
    async close() {
      await disk.thaw();
      if (!(await tryCommand("umount", [mountPoint]))) await tryCommand("umount", ["-l", mountPoint]);
      await rm(image, { force: true });
    },
  };
  return disk;
}
