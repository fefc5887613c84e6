import { open, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { DiskSpace } from "./disk-guard.js";

const FILE = "reserve";
const BLOCK = 1024 * 1024;

/** The disk that a folder lies on; the reserve is a file of that size in the folder. */
export function folderSpace(folder: string): DiskSpace {
  const file = join(folder, FILE);
  return {
    async freeBytes() {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    },
    async reserve(bytes) {
      const size = await stat(file).then(
        (found) => found.size,
        () => 0,
      );
      return size >= bytes || fill(file, bytes);
    },
    release: () => rm(file, { force: true }),
  };
}

/** Written in full, because a file with holes sets nothing aside. Removed again when it does not fit. */
async function fill(file: string, bytes: number): Promise<boolean> {
  const handle = await open(file, "w");
  try {
    // Random bytes would cost time; a pattern other than zero keeps file systems that look for zeros from making holes.
    const block = Buffer.alloc(Math.min(BLOCK, bytes), 0x5a);
    for (let at = 0; at < bytes; at += block.length)
      await handle.write(block, 0, Math.min(block.length, bytes - at), at);
    return true;
  } catch (error) {
    if (
      (error as NodeJS.ErrnoException).code !== "ENOSPC" &&
      (error as NodeJS.ErrnoException).code !== "EDQUOT"
    )
      throw error;
    await rm(file, { force: true });
    return false;
  } finally {
    await handle.close();
  }
}
