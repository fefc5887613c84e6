import { Violation } from "../sim/simulation.js";
import { type DiskView, diskHolds } from "./disk-view.js";

/** The voters that decide; outgoing is empty unless the configuration is joint. */
export interface Voters {
  readonly voters: readonly number[];
  readonly votersOutgoing: readonly number[];
}

/**
 * Committed on a durable quorum: when a leader says that an entry is committed, a majority of the voters (of each half
 * while the configuration is joint) has it on disk, as opposed to in memory. Asks the disks, not the members.
 */
export class DurableCommit {
  /** `node` leads under `config` and has moved its commit index to (index, term). */
  advanced(
    node: number,
    index: number,
    term: number,
    config: Voters,
    disk: (voter: number) => DiskView | null,
  ): void {
    this.half(node, index, term, config.voters, disk);
    if (config.votersOutgoing.length > 0) this.half(node, index, term, config.votersOutgoing, disk);
  }

  private half(
    node: number,
    index: number,
    term: number,
    voters: readonly number[],
    disk: (voter: number) => DiskView | null,
  ): void {
    let holding = 0;
    for (const voter of voters) {
      const view = disk(voter);
      if (view !== null && diskHolds(view, index, term)) holding++;
    }
    if (holding * 2 <= voters.length) {
      throw new Violation(
        "committed on a durable quorum",
        `leader ${node} commits ${term}/${index}, which ${holding} of the disks of voters ${voters.join(", ")} hold`,
      );
    }
  }
}
