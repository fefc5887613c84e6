import { Violation } from "../sim/simulation.js";

interface Known {
  readonly term: number;
  /** -1 while nobody could say. */
  previousTerm: number;
  readonly hash: number;
  readonly node: number;
}

/**
 * Log Matching: two logs with the same term at an index are equal up to there. By induction it is enough that all
 * entries ever seen with the same (index, term) have the same data and the same term before them, which is checked in
 * constant time whenever an entry enters a log.
 */
export class LogMatching {
  private readonly byIndex = new Map<number, Known[]>();

  /**
   * An entry entered the log of `node` after an entry of `previousTerm`; -1 when what stood before is compacted and its
   * term no longer known there.
   */
  entered(node: number, index: number, term: number, previousTerm: number, hash: number): void {
    if (previousTerm > term) {
      throw new Violation("log matching", `terms fall from ${previousTerm} to ${term} at index ${index}`);
    }
    const known = this.byIndex.get(index);
    if (known === undefined) {
      this.byIndex.set(index, [{ term, previousTerm, hash, node }]);
      return;
    }
    for (const other of known) {
      if (other.term !== term) continue;
      if (other.hash !== hash) {
        throw new Violation(
          "log matching",
          `members ${other.node} and ${node} hold different entries at ${term}/${index}`,
        );
      }
      if (other.previousTerm === -1) other.previousTerm = previousTerm;
      if (previousTerm !== -1 && other.previousTerm !== previousTerm) {
        throw new Violation(
          "log matching",
          `before ${term}/${index} member ${other.node} holds term ${other.previousTerm}, member ${node} ${previousTerm}`,
        );
      }
      return;
    }
    known.push({ term, previousTerm, hash, node });
  }
}
