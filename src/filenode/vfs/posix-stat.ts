import type { BigIntStats } from "node:fs";
import type { VfsStat } from "../api.js";

const NS_PER_MS = 1_000_000n;
const WRITE_BITS = 0o222n;

/**
 * The stable identity of a file: its inode number and, since numbers are used again, its birth time. The device number
 * is left out on purpose: each host that mounts the same storage has another one. Where the file system keeps no birth
 * time, the number alone must do.
 */
function fileIdOf(stats: BigIntStats): string {
  return `${stats.ino.toString(36)}-${stats.birthtimeNs.toString(36)}`;
}

/** The part of a stat that the file node works with. */
export function toVfsStat(stats: BigIntStats): VfsStat {
  return {
    fileId: fileIdOf(stats),
    directory: stats.isDirectory(),
    size: Number(stats.size),
    // Rounded: a time in milliseconds that was set comes back through a fraction of a second just below it.
    modifiedMs: Number((stats.mtimeNs + NS_PER_MS / 2n) / NS_PER_MS),
    createdMs: Number(stats.birthtimeNs / NS_PER_MS),
    readOnly: (stats.mode & WRITE_BITS) === 0n,
    linkCount: Number(stats.nlink),
  };
}
