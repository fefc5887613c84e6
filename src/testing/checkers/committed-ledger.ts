import { Violation } from "../sim/simulation.js";

/** An entry that some member reported as committed. */
export interface Committed {
  readonly index: number;
  readonly term: number;
  readonly hash: number;
  readonly node: number;
  /** Term of the first member that reported it: one that leads later than that holds it, an older one need not. */
  readonly inTerm: number;
}

/**
 * Committed Immutable: what was committed once at an index stays there for ever, whoever reports it. Remembers
 * everything that was ever committed, also what every member has since forgotten: other checkers ask it.
 */
export class CommittedLedger {
  private readonly byIndex = new Map<number, Committed>();
  /** Largest index that was ever reported. */
  last = 0;

  /** `node`, in term `inTerm`, hands this entry out as committed. True when nobody had reported it before. */
  committed(node: number, index: number, term: number, hash: number, inTerm = term): boolean {
    const known = this.byIndex.get(index);
    if (known === undefined) {
      this.byIndex.set(index, { index, term, hash, node, inTerm });
      if (index > this.last) this.last = index;
      return true;
    }
    if (known.term !== term || known.hash !== hash) {
      throw new Violation(
        "committed immutable",
        `index ${index} was committed with term ${known.term} by member ${known.node}, ` +
          `and now with term ${term} by member ${node}`,
      );
    }
    return false;
  }

  at(index: number): Committed | undefined {
    return this.byIndex.get(index);
  }

  entries(): IterableIterator<Committed> {
    return this.byIndex.values();
  }
}
