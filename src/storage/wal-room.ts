import { readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";

/** After how many written bytes the folder is looked at for a new log file. A fraction of a write buffer. */
const LOOK_EVERY_BYTES = 256 * 1024;
const LOG_FILE = /^(\d+)\.log$/;

/**
 * Makes RocksDB's write-ahead log longer than what was written to it, so that a synced write does not change the file's
 * size: a change of the size makes every fdatasync commit the file system's journal as well (255 against 205 µs at the
 * median on ext4).
 *
 * The rest reads as zeros. RocksDB's reader passes over them without a word, as it does over what its own memory-mapped
 * writer left behind; it writes at a position of its own, not at the end of the file, and cuts the rest off when it
 * closes the log. The file is only ever made longer, and only while no write is under way: a log that grew between the
 * look and the change would be cut below what it had acknowledged.
 */
export class WalRoom {
  readonly #folder: string;
  readonly #bytes: number;
  #sinceLook = Number.POSITIVE_INFINITY;
  #log = "";

  /** `bytes`: how long a log is made; more than a log holds before RocksDB begins the next one. */
  constructor(folder: string, bytes: number) {
    this.#folder = folder;
    this.#bytes = bytes;
  }

  /** A batch of about `bytes` was handed over. Answers whether `make` is due before the next one. */
  wrote(bytes: number): boolean {
    this.#sinceLook += bytes;
    return this.#sinceLook >= LOOK_EVERY_BYTES;
  }

  /** Makes the newest log long. Never rejects: where it cannot be done (no room, a limit), writes only take longer. */
  async make(): Promise<void> {
    this.#sinceLook = 0;
    try {
      const log = newest(await readdir(this.#folder));
      if (log === null || log === this.#log) return;
      const path = join(this.#folder, log);
      if ((await stat(path)).size < this.#bytes) await truncate(path, this.#bytes);
      this.#log = log;
    } catch {
      // The write that comes next meets the same disk and says what is wrong with it.
    }
  }
}

/** The log with the highest number: the only one that RocksDB still writes to. */
function newest(names: readonly string[]): string | null {
  let best = -1;
  let found: string | null = null;
  for (const name of names) {
    const number = Number(LOG_FILE.exec(name)?.[1] ?? -1);
    if (number <= best) continue;
    best = number;
    found = name;
  }
  return found;
}
