import { Violation } from "../sim/simulation.js";

interface Epoch {
  readonly owner: string;
  /** Virtual time at which the first operation under it began to be served. */
  firstStartUs: number;
  /** Virtual time at which the last operation under it that was let through ended. */
  lastEndUs: number;
}

/** One owner an epoch, and no two owners serving at once: the guarantees of design section 5. */
export class Ownership {
  private readonly sessions = new Map<string, Map<number, Epoch>>();

  /** The log says that `owner` (a node and its incarnation) owns the session under this epoch. */
  owns(session: string, epoch: number, owner: string): void {
    const known = this.epoch(session, epoch, owner);
    if (known.owner !== owner) {
      throw new Violation(
        "one owner an epoch",
        `session ${session} has owners ${known.owner} and ${owner} under epoch ${epoch}`,
      );
    }
  }

  /** `owner` has let an operation of the session through from `startUs` to `endUs`. */
  served(session: string, epoch: number, owner: string, startUs: number, endUs: number): void {
    this.owns(session, epoch, owner);
    const mine = this.epoch(session, epoch, owner);
    if (startUs < mine.firstStartUs) mine.firstStartUs = startUs;
    if (endUs > mine.lastEndUs) mine.lastEndUs = endUs;
    for (const [other, state] of this.sessions.get(session) ?? []) {
      const early = other < epoch ? state : other > epoch ? mine : null;
      if (early === null) continue;
      const late = early === state ? mine : state;
      if (early.lastEndUs > late.firstStartUs) {
        throw new Violation(
          "two owners at once",
          `session ${session}: ${early.owner} served until ${early.lastEndUs} us, ` +
            `${late.owner} under a later epoch since ${late.firstStartUs} us`,
        );
      }
    }
  }

  private epoch(session: string, epoch: number, owner: string): Epoch {
    let epochs = this.sessions.get(session);
    if (epochs === undefined) {
      epochs = new Map();
      this.sessions.set(session, epochs);
    }
    let known = epochs.get(epoch);
    if (known === undefined) {
      known = { owner, firstStartUs: Number.POSITIVE_INFINITY, lastEndUs: Number.NEGATIVE_INFINITY };
      epochs.set(epoch, known);
    }
    return known;
  }
}
