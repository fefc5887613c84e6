import { Violation } from "../sim/simulation.js";
import type { DiskView } from "./disk-view.js";
import type { Voters } from "./durable-commit.js";

/** Votes as disks hold them, over all lives of their members: one vote a term, and no election without a majority of them. */
export class DurableVote {
  private readonly last = new Map<number, { readonly term: number; readonly vote: number }>();

  /** `node` hands this to its disk. */
  stores(node: number, term: number, vote: number): void {
    const before = this.last.get(node);
    if (before !== undefined) {
      if (term < before.term) {
        throw new Violation("durable vote", `member ${node} stores term ${term} after term ${before.term}`);
      }
      if (term === before.term && before.vote !== 0 && vote !== before.vote) {
        throw new Violation(
          "durable vote",
          `member ${node} stores a vote for ${vote} in term ${term}, in which it voted for ${before.vote}`,
        );
      }
    }
    this.last.set(node, { term, vote });
  }

  /** A restart: what counts is what the disk has kept. */
  restarted(node: number, disk: DiskView): void {
    this.last.set(node, { term: disk.term, vote: disk.vote });
  }

  /** `node` was elected in `term` under `config`. A voter that has gone on to a later term may have voted before. */
  elected(node: number, term: number, config: Voters, disk: (voter: number) => DiskView | null): void {
    for (const half of [config.voters, config.votersOutgoing]) {
      if (half.length === 0) continue;
      let votes = 0;
      for (const voter of half) {
        const view = disk(voter);
        if (view !== null && (view.term > term || (view.term === term && view.vote === node))) votes++;
      }
      if (votes * 2 <= half.length) {
        throw new Violation(
          "elected by a durable majority",
          `member ${node} leads term ${term} with ${votes} votes on the disks of ${half.join(", ")}`,
        );
      }
    }
  }
}
