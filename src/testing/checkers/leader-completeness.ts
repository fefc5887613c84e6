import { Violation } from "../sim/simulation.js";
import type { CommittedLedger } from "./committed-ledger.js";

/** A log as this check needs it: the term at an index, or -1 below its first and above its last index. */
export interface LogTerms {
  readonly firstIndex: number;
  readonly lastIndex: number;
  termAt(index: number): number;
}

/**
 * Leader Completeness: whoever is elected holds every entry that was committed in an earlier term. The term that counts is
 * the one in which it was committed: votes that come late may elect somebody in a term that others have left behind, and what
 * their leader has committed since, entries of older terms included, he need not hold.
 */
export class LeaderCompleteness {
  constructor(private readonly ledger: CommittedLedger) {}

  /** `node` has just been elected in `term` with this log. */
  elected(node: number, term: number, log: LogTerms): void {
    for (const entry of this.ledger.entries()) {
      if (entry.inTerm >= term || entry.index < log.firstIndex) continue;
      if (entry.index > log.lastIndex) {
        throw new Violation(
          "leader completeness",
          `leader ${node} of term ${term} ends at ${log.lastIndex} but ${entry.term}/${entry.index} is committed`,
        );
      }
      const own = log.termAt(entry.index);
      if (own !== entry.term) {
        throw new Violation(
          "leader completeness",
          `leader ${node} of term ${term} holds term ${own} at ${entry.index}, committed is term ${entry.term}`,
        );
      }
    }
  }
}
