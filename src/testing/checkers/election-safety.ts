import { Violation } from "../sim/simulation.js";

/** Election Safety: at most one leader in a term, over the whole history and across crashes. */
export class ElectionSafety {
  private readonly leaderOfTerm = new Map<number, number>();

  /** `node` says that it leads `term`. */
  leads(node: number, term: number): void {
    const known = this.leaderOfTerm.get(term);
    if (known === undefined) this.leaderOfTerm.set(term, node);
    else if (known !== node) {
      throw new Violation("election safety", `members ${known} and ${node} both lead term ${term}`);
    }
  }

  /** How many terms had a leader. */
  get terms(): number {
    return this.leaderOfTerm.size;
  }
}
