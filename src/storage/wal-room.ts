import { open, readdir } from "node:fs/promises";
import { join } from "node:path";

/** After how many written bytes the folder is looked at for a new log file. A fraction of a write buffer. */
const LOOK_EVERY_BYTES = 256 * 1024;
/** How far the zeros reach beyond what the log holds: several looks, and a batch of the usual size on top. */
const AHEAD_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(AHEAD_BYTES);
const LOG_FILE = /^(\d+)\.log$/;

/**
 * Keeps RocksDB's write-ahead log longer than what was written to it, and its blocks on the disk, so that a synced write
 * changes nothing but data. A change of the size makes every fdatasync commit the file system's journal as well, and a
 * write into a hole makes it write the map of the file's blocks: for 10 KB on ext4 0.22 ms at the median and 110 µs of
 * processor time into a hole, 0.15 ms and 70 µs over zeros.
 *
 * RocksDB's reader passes over zeros without a word, as it does over what its own memory-mapped
 * writer left behind; it writes at a position of its own, not at the end of the file, and cuts the rest off when it
 * closes the log. Zeros are only ever put behind the end of the file, and only while no write is under way: a log that
 * grew between the look and the zeros would lose what it had acknowledged.
 */
export class WalRoom {
  readonly #folder: string;
  readonly #bytes: number;
  #sinceLook = Number.POSITIVE_INFINITY;
  #log = "";
  /** About how much the log holds: what was handed over since it was seen first. */
  #held = 0;

  /** `bytes`: how long a log is made at most; about what it holds before RocksDB begins the next one. */
  constructor(folder: string, bytes: number) {
    this.#folder = folder;
    this.#bytes = bytes;
  }

  /** A batch of about `bytes` was handed over. Answers whether `make` is due before the next one. */
  wrote(bytes: number): boolean {
    this.#sinceLook += bytes;
    return this.#sinceLook >= LOOK_EVERY_BYTES;
  }

  /** Puts zeros behind the newest log. Never rejects: where it cannot be done (no room, a limit), writes only take longer. */
  async make(): Promise<void> {
    const handed = this.#sinceLook;
    this.#sinceLook = 0;
    try {
      const log = newest(await readdir(this.#folder));
      if (log === null) return;
      this.#held = log === this.#log ? this.#held + handed : 0;
      this.#log = log;
      await lengthen(join(this.#folder, log), Math.min(this.#held + AHEAD_BYTES, this.#bytes));
    } catch {
      // The write that comes next meets the same disk and says what is wrong with it.
    }
  }
}

/** Zeros from the end of the file to `bytes`, as far as one write takes them. */
async function lengthen(path: string, bytes: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    const { size } = await file.stat();
    if (size < bytes) await file.write(ZEROS, 0, Math.min(bytes - size, ZEROS.length), size);
  } finally {
    await file.close();
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
