import { Violation } from "../sim/simulation.js";

/** A byte range; `end` is exclusive. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A lock that a client was told of. */
export interface HeldRange extends Range {
  readonly holder: string;
  readonly exclusive: boolean;
}

/**
 * No lock held twice, as clients see it: from the moment at which a client learned that it holds a lock until it asks to
 * release it (or is told that it lost it), nobody else learns that it holds a conflicting one.
 */
export class LockExclusion {
  private readonly files = new Map<string, HeldRange[]>();

  /** `holder` was told that it holds the range. */
  granted(file: string, holder: string, range: Range, exclusive: boolean): void {
    const held = this.files.get(file) ?? [];
    for (const other of held) {
      if (other.holder === holder || (!other.exclusive && !exclusive)) continue;
      if (other.start < range.end && range.start < other.end) {
        throw new Violation(
          "no lock held twice",
          `${file} [${range.start}, ${range.end}) was granted to ${holder} while ${other.holder} ` +
            `holds [${other.start}, ${other.end})`,
        );
      }
    }
    held.push({ holder, start: range.start, end: range.end, exclusive });
    this.files.set(file, held);
  }

  /** `holder` is about to ask for release of exactly this range, or learned that it is gone. */
  releasing(file: string, holder: string, range: Range): void {
    const held = this.files.get(file) ?? [];
    const at = held.findIndex(
      (lock) => lock.holder === holder && lock.start === range.start && lock.end === range.end,
    );
    if (at >= 0) held.splice(at, 1);
  }

  /** Everything that `holder` had is gone: its handle was closed or its session ended. */
  gone(holder: string): void {
    for (const [file, held] of this.files) {
      this.files.set(
        file,
        held.filter((lock) => lock.holder !== holder),
      );
    }
  }

  /** Locks of others that stop `holder` from reading or writing the range as long as they are held. */
  against(file: string, holder: string, range: Range, write: boolean): HeldRange[] {
    return (this.files.get(file) ?? []).filter(
      (lock) =>
        lock.holder !== holder &&
        (lock.exclusive || write) &&
        lock.start < range.end &&
        range.start < lock.end,
    );
  }

  /** Whether its holder has it still, without having asked to release it meanwhile. */
  isHeld(file: string, lock: HeldRange): boolean {
    return (this.files.get(file) ?? []).includes(lock);
  }
}
