import { type Message, MessageKind } from "../../raft/index.js";
import { Violation } from "../sim/simulation.js";

/**
 * An acknowledgement covers what its leader sent and nothing beyond (lesson L10): a follower that acknowledges its own
 * last index vouches for a tail that the leader has never seen.
 */
export class AckCoverage {
  /** Largest index that appends or snapshots of a term have carried to a member. */
  private readonly covered = new Map<string, number>();

  /** A message has reached its receiver. */
  delivered(message: Message): void {
    if (message.kind === MessageKind.Append) this.cover(message, message.index + message.entries.length);
    else if (message.kind === MessageKind.Snapshot) this.cover(message, message.snapshot?.index ?? 0);
  }

  private cover(message: Message, index: number): void {
    const key = `${message.to}/${message.term}`;
    const before = this.covered.get(key) ?? 0;
    if (index > before) this.covered.set(key, index);
  }

  /** `message` leaves its sender, which knows everything up to `commit` to be committed. */
  leaves(message: Message, commit: number): void {
    if (message.kind !== MessageKind.AppendResponse || message.reject || message.index <= commit) return;
    const covered = this.covered.get(`${message.from}/${message.term}`) ?? 0;
    if (message.index > covered) {
      throw new Violation(
        "acknowledgement coverage",
        `member ${message.from} acknowledges ${message.index} in term ${message.term}, of which it was sent ${covered}`,
      );
    }
  }
}
