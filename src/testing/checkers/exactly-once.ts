import { Violation } from "../sim/simulation.js";

/** Exactly once: an effect named by a request happens at most once, and once at least when it was acknowledged. */
export class ExactlyOnce {
  private readonly executed = new Map<string, string>();
  private readonly acknowledged = new Set<string>();

  /** The effect of `request` happened at this place (a log index, a file and offset). */
  executes(request: string, where: string): void {
    const before = this.executed.get(request);
    if (before !== undefined && before !== where) {
      throw new Violation(
        "exactly once",
        `request ${request} was executed at ${before} and again at ${where}`,
      );
    }
    this.executed.set(request, where);
  }

  /** The client was told that `request` is done. */
  acknowledge(request: string): void {
    this.acknowledged.add(request);
  }

  /** At the end: every acknowledged request was executed. */
  finish(): void {
    for (const request of this.acknowledged) {
      if (!this.executed.has(request)) {
        throw new Violation(
          "acknowledged write lost",
          `request ${request} was acknowledged but never executed`,
        );
      }
    }
  }
}
