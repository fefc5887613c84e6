import { Violation } from "../sim/simulation.js";

/**
 * Client programs that were told to stop come to an end: each makes no further call, so it ends with the call that is under
 * way. One that does not has a call that nobody answers and that its own deadline does not end.
 */
export class CallsEnd {
  private readonly running = new Set<string>();

  /** Follows a program; what goes wrong in it is given on. */
  async follow(name: string, program: Promise<void>): Promise<void> {
    this.running.add(name);
    await program;
    this.running.delete(name);
  }

  /** Whether all have ended. */
  get ended(): boolean {
    return this.running.size === 0;
  }

  /** Throws when some have not. `sinceUs`: how long they have had for it. */
  check(sinceUs: number): void {
    if (this.ended) return;
    throw new Violation(
      "calls end",
      `${[...this.running].join(", ")}: a call is under way still, ${sinceUs / 1e6} s after the faults`,
    );
  }
}
