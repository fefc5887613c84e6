import { existsSync, writeFileSync } from "node:fs";

/** Where Debian's package libfaketime puts the library; another place can be named by FAKETIME_LIBRARY. */
const LIBRARIES = [
  process.env["FAKETIME_LIBRARY"] ?? "",
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

/** The library that gives a process a wall clock of its own; null where it is not installed. */
export function clockLibrary(): string | null {
  return LIBRARIES.find((path) => path !== "" && existsSync(path)) ?? null;
}

/** How often the library looks at the file, in whole seconds: a jump takes effect within that time. */
export const CLOCK_LAG_MS = 1_000;

/** A wall clock that can be set while its process runs. The monotonic clock stays the machine's, as when a clock is set. */
export class OwnClock {
  constructor(
    private readonly library: string,
    private readonly file: string,
  ) {
    this.jumpTo(0);
  }

  /** For the environment of the process. */
  get environment(): Record<string, string> {
    return {
      LD_PRELOAD: this.library,
      FAKETIME_TIMESTAMP_FILE: this.file,
      FAKETIME_CACHE_DURATION: String(CLOCK_LAG_MS / 1000),
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_DISABLE_SHM: "1",
    };
  }

  /** From now on the wall clock is so many seconds before (negative) or after the machine's. */
  jumpTo(offsetSeconds: number): void {
    writeFileSync(this.file, `${offsetSeconds < 0 ? "" : "+"}${offsetSeconds}s\n`);
  }
}
