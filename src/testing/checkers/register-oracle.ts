import { Violation } from "../sim/simulation.js";

/** What was asked at the start of an operation: nothing that ends before it may be missing from its answer. */
export interface Started {
  /** Every operation that had been answered by then took effect at or before this index. */
  readonly floor: number;
}

/**
 * The client oracle for registers in a replicated log, cheap enough for every run: each write has a serial of its own,
 * and every answer names the log index at which it took effect. Checks: no phantom value; a serial stands at one index
 * only (exactly once); an operation takes effect after everything that was answered before it began (real time); what a
 * write replaced and what a read sees is what the log says at that index; no acknowledged write is lost.
 */
export class RegisterOracle {
  /** Committed writes by index, in order of index. */
  private readonly writesOf = new Map<number, { readonly index: number; readonly serial: number }[]>();
  private readonly indexOfSerial = new Map<number, number>();
  private readonly invoked = new Set<number>();
  private readonly acknowledged = new Map<number, number>();
  private answeredUpTo = 0;
  acknowledgedWrites = 0;
  answeredReads = 0;

  /** A client begins to write this serial, or to read (0). */
  begins(serial: number): Started {
    if (serial !== 0) this.invoked.add(serial);
    return { floor: this.answeredUpTo };
  }

  /** The log holds a write of `serial` to `key`, committed at `index`; called once for each index, in order. */
  logged(key: number, serial: number, index: number): void {
    if (!this.invoked.has(serial)) {
      throw new Violation("client oracle", `serial ${serial} was committed at ${index} but never written`);
    }
    const other = this.indexOfSerial.get(serial);
    if (other !== undefined) {
      throw new Violation("exactly once", `serial ${serial} is committed at ${other} and again at ${index}`);
    }
    this.indexOfSerial.set(serial, index);
    const writes = this.writesOf.get(key);
    if (writes === undefined) this.writesOf.set(key, [{ index, serial }]);
    else writes.push({ index, serial });
  }

  /** A write was answered: it took effect at `index` and replaced `previous`. */
  writeAnswered(started: Started, key: number, serial: number, index: number, previous: number): void {
    if (this.indexOfSerial.get(serial) !== index) {
      throw new Violation(
        "client oracle",
        `serial ${serial} was acknowledged at ${index}, where it is not committed`,
      );
    }
    this.inRealTime(started, index, `write of ${serial}`);
    const seen = this.valueAt(key, index - 1);
    if (seen !== previous) {
      throw new Violation(
        "client oracle",
        `write of ${serial} at ${index} replaced ${previous}, not ${seen}`,
      );
    }
    this.acknowledged.set(serial, index);
    this.acknowledgedWrites++;
    if (index > this.answeredUpTo) this.answeredUpTo = index;
  }

  /** A read was answered from a state at `index`. */
  readAnswered(started: Started, key: number, index: number, value: number): void {
    if (index < started.floor) {
      throw new Violation(
        "stale read",
        `a read saw the state at ${index}, but an operation answered before it began took effect at ${started.floor}`,
      );
    }
    const expected = this.valueAt(key, index);
    if (expected !== value) {
      throw new Violation("client oracle", `a read of key ${key} at ${index} saw ${value}, not ${expected}`);
    }
    this.answeredReads++;
    if (index > this.answeredUpTo) this.answeredUpTo = index;
  }

  /** The durability scan at the end: `index` is what all members have applied. */
  finish(index: number): void {
    for (const [serial, at] of this.acknowledged) {
      if (at > index) {
        throw new Violation(
          "acknowledged write lost",
          `serial ${serial} was acknowledged at ${at}, log ends at ${index}`,
        );
      }
    }
  }

  private inRealTime(started: Started, index: number, what: string): void {
    if (index <= started.floor) {
      throw new Violation("real time order", `${what} took effect at ${index}, not after ${started.floor}`);
    }
  }

  /** Value of a register after `index` was applied; 0 when it was never written. */
  private valueAt(key: number, index: number): number {
    const writes = this.writesOf.get(key);
    if (writes === undefined) return 0;
    let low = 0;
    let high = writes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((writes[middle] as { index: number }).index <= index) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : (writes[low - 1] as { serial: number }).serial;
  }
}
