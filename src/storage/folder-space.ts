import { open, rm, stat, statfs, truncate } from "node:fs/promises";
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
      const size = await sizeOf(file);
      return size >= bytes || grow(file, size, bytes);
    },
    async release(bytes) {
      const size = await sizeOf(file);
      const left = Math.max(0, size - bytes);
      await cut(file, left);
      return size - left;
    },
  };
}

/** Zero for a file that is not there. */
function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    (found) => found.size,
    () => 0,
  );
}

function cut(file: string, bytes: number): Promise<void> {
  return bytes === 0 ? rm(file, { force: true }) : truncate(file, bytes);
}

/** Written in full, because a file with holes sets nothing aside. As long as before when it does not fit. */
async function grow(file: string, from: number, bytes: number): Promise<boolean> {
  const handle = await open(file, "a");
  try {
    // Random bytes would cost time; a pattern other than zero keeps file systems that look for zeros from making holes.
    const block = Buffer.alloc(Math.min(BLOCK, bytes), 0x5a);
    for (let at = from; at < bytes; )
      at += (await handle.write(block, 0, Math.min(block.length, bytes - at))).bytesWritten;
    return true;
  } catch (error) {
    if (
      (error as NodeJS.ErrnoException).code !== "ENOSPC" &&
      (error as NodeJS.ErrnoException).code !== "EDQUOT"
    )
      throw error;
    await cut(file, from);
    return false;
  } finally {
    await handle.close();
  }
}
