import type { ApplyQueue } from "./apply-queue.js";

/** Committed entries up to which the others hear of them before they are applied here. */
const ENTRIES_MAX = 16;

/**
 * Puts a leader's applying off by one turn when it has just told the others of the commit. What is written to a stream
 * leaves only after the turn, so the news would wait for the leader's own applying and answers, and with it the member
 * whose client waits for the result. With many entries in a round the extra turn costs more than it gives.
 */
export class HeadStart {
  private given = false;

  /** True: let this turn end here. Never twice in a row, so applying is put off by one turn at most. */
  give(told: boolean, queue: ApplyQueue): boolean {
    const due = told && !this.given && !queue.paused && !queue.isEmpty && queue.size <= ENTRIES_MAX;
    this.given = due;
    return due;
  }
}
