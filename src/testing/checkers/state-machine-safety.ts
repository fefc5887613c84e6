import { Violation } from "../sim/simulation.js";

/**
 * State Machine Safety: every member applies the same command at an index, in order and without gaps, and never one that
 * is not committed.
 */
export class StateMachineSafety {
  private readonly hashAt = new Map<number, number>();
  private readonly appliedBy = new Map<number, number>();

  /** A member (re)started from, or installed, a state that stands at `index`. */
  restored(node: number, index: number): void {
    this.appliedBy.set(node, index);
  }

  /** `node` applies the command with this hash. */
  applies(node: number, index: number, hash: number): void {
    const previous = this.appliedBy.get(node);
    if (previous !== undefined && index !== previous + 1) {
      throw new Violation("state machine safety", `member ${node} applies ${index} after ${previous}`);
    }
    this.appliedBy.set(node, index);
    const known = this.hashAt.get(index);
    if (known === undefined) this.hashAt.set(index, hash);
    else if (known !== hash) {
      throw new Violation(
        "state machine safety",
        `member ${node} applies another command at ${index} than was applied before`,
      );
    }
  }
}
