import { type Fencing, isFenced, type Stop } from "./fences.js";
import type { OpRecord } from "./records.js";

/** A node lets so many writes into the kernel at a time (`writesInKernelMax`): more cannot land late after one stop. */
const KERNEL_WRITES_MAX = 4;

/**
 * What an owner that was stopped had handed to the kernel and what landed after it went on: possible without a fence
 * (docs/guarantees.md). Each find that a stop does not explain stays a violation.
 */
export class LateWrites {
  readonly found: string[] = [];
  readonly #perStop = new Map<Stop, number>();

  constructor(private readonly fencing: Fencing) {}

  /**
   * True when `write` explains what was seen in `target` by `seenUs`: it was under way at a node while that was stopped,
   * and the node had gone on by then.
   */
  explains(write: OpRecord, target: string, seenUs: number, what: string): boolean {
    if (isFenced(this.fencing.fence, target)) return false;
    const stop = this.fencing.stops.find(
      (each) =>
        each.node === write.from &&
        write.callUs <= each.fromUs &&
        each.fromUs <= write.returnUs &&
        each.toUs <= seenUs,
    );
    if (stop === undefined) return false;
    this.#perStop.set(stop, (this.#perStop.get(stop) ?? 0) + 1);
    this.found.push(
      `${what}: a write of client ${write.client} at ${stop.node}, which was stopped meanwhile`,
    );
    return true;
  }

  /** Stops that would have had to leave more behind than the kernel can have had. */
  tooMany(): string[] {
    return [...this.#perStop]
      .filter(([, count]) => count > KERNEL_WRITES_MAX)
      .map(
        ([stop, count]) =>
          `${count} late writes after one stop of ${stop.node}: the kernel had ${KERNEL_WRITES_MAX} at most`,
      );
  }
}
