import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { HoldfastError } from "../wire/errors.js";
import { REBUILD_FROM_PEERS, storageFailed } from "./errors.js";

/** Turns what RocksDB says at opening into a sentence that names the folder, the reason and the next step. */
export function openError(folder: string, error: Error): HoldfastError {
  const text = error.message;
  if (/lock/i.test(text) && /(unavailable|held|hold)/i.test(text))
    return storageFailed(
      `data folder ${folder} is in use by another process`,
      "stop the other node that runs on this folder, or give this one a folder of its own (--data)",
      error,
    );
  if (/permission denied/i.test(text))
    return storageFailed(
      `data folder ${folder} may not be read or written by this user`,
      `check the owner: ls -ld ${folder}`,
      error,
    );
  if (/no space left/i.test(text))
    return storageFailed(
      `no space left on the disk of data folder ${folder}`,
      `make room: df -h ${folder}`,
      error,
    );
  return storageFailed(`data folder ${folder} is damaged: ${text}`, REBUILD_FROM_PEERS, error);
}

/**
 * True when RocksDB could not write because the disk, or a quota on it, is used up. Not when it says so of a sync: after
 * a failed one nobody knows which of the earlier pages are on the disk, whatever the reason was (lesson L21).
 */
export function isOutOfSpace(error: Error): boolean {
  return /no space left|quota exceeded/i.test(error.message) && !/while f(data)?sync/i.test(error.message);
}

/**
 * Refuses a folder that holds the remains of a database without the file that names its parts: RocksDB would make a
 * new, empty one in its place, and the member would have forgotten its votes.
 */
export function refuseHeadless(folder: string): void {
  if (!existsSync(folder) || existsSync(join(folder, "CURRENT"))) return;
  const remains = readdirSync(folder).filter((name) => /^MANIFEST-|\.sst$|^\d+\.log$|^SYNCED$/.test(name));
  if (remains.length > 0)
    throw storageFailed(
      `data folder ${folder} is damaged: it holds ${remains[0]} but no CURRENT file`,
      REBUILD_FROM_PEERS,
    );
}
