import { broken } from "../invariant.js";
import { mutant } from "../mutants.js";
import type { Index } from "../types.js";
import { Inflights } from "./inflights.js";

/** How the leader treats a peer. */
export const ProgressState = { Probe: 0, Replicate: 1, Snapshot: 2 } as const;
export type ProgressState = (typeof ProgressState)[keyof typeof ProgressState];

/**
 * What the leader knows of one peer, and what it may send it now.
 *
 *   Probe      one append at a time, to find where the logs agree
 *   Replicate  optimistic: `next` runs ahead of `match`, bounded by the window
 *   Snapshot   nothing is sent until the snapshot is reported done or acknowledged
 *
 * `match < next` holds after every change (lesson L12).
 */
export class Progress {
  match: Index = 0;
  next: Index;
  state: ProgressState = ProgressState.Probe;
  /** Highest commit index sent and not known lost. */
  sentCommit: Index = 0;
  /** In state Snapshot: its index. */
  pendingSnapshot: Index = 0;
  /** Heard from since the last check of the quorum. */
  recentActive = false;
  /** No append until the next heartbeat response. */
  paused = false;
  inflights: Inflights;
  isLearner: boolean;
  /** Which membership of the peer this is (lesson L13). */
  readonly session: number;

  constructor(
    next: Index,
    isLearner: boolean,
    session: number,
    private readonly messagesMax: number,
    private readonly bytesMax: number,
  ) {
    this.next = next;
    this.isLearner = isLearner;
    this.session = session;
    this.inflights = new Inflights(messagesMax, bytesMax);
  }

  private enter(state: ProgressState): void {
    this.paused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights = new Inflights(this.messagesMax, this.bytesMax);
  }

  /** Looks for the point of agreement: after match, or after the snapshot that was just delivered. */
  becomeProbe(): void {
    const delivered = this.state === ProgressState.Snapshot ? this.pendingSnapshot : 0;
    this.enter(ProgressState.Probe);
    this.next = Math.max(this.match, delivered) + 1;
    if (this.sentCommit > this.next - 1) this.sentCommit = this.next - 1;
  }

  becomeReplicate(): void {
    this.enter(ProgressState.Replicate);
    this.next = this.match + 1;
  }

  becomeSnapshot(index: Index): void {
    this.enter(ProgressState.Snapshot);
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
    this.check();
  }

  /** An append with `count` entries of `bytes` payload left for the peer. */
  sentEntries(count: number, bytes: number): void {
    if (this.state === ProgressState.Replicate) {
      if (count > 0) {
        this.next += count;
        this.inflights.add(this.next - 1, bytes);
      }
      // A window that is full turns the message into a probe: the next one waits for a heartbeat response.
      this.paused = this.inflights.full;
    } else if (count > 0) {
      this.paused = true;
    }
  }

  /** Whether telling the peer this commit index now could move its own. */
  canBumpCommit(commit: Index): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /** Acknowledgement up to `index`; false when it says nothing new. */
  update(index: Index): boolean {
    if (index <= this.match) return false;
    this.match = index;
    if (this.next <= index) this.next = index + 1;
    this.paused = false;
    return true;
  }

  /**
   * Rejection of the append after `rejected`; the logs can agree at `hint` at best. False when it is stale: believing a
   * delayed rejection would move next back over what is acknowledged (lessons L9, L12).
   */
  decreaseTo(rejected: Index, hint: Index): boolean {
    if (this.state === ProgressState.Replicate) {
      if (rejected <= this.match) return false;
      this.next = mutant.nextBelowMatch ? Math.max(hint + 1, 1) : this.match + 1;
    } else {
      if (this.next - 1 !== rejected) return false;
      const lowered = Math.min(rejected, hint + 1);
      this.next = mutant.nextBelowMatch ? Math.max(lowered, 1) : Math.max(lowered, this.match + 1);
      this.paused = false;
    }
    if (this.sentCommit > this.next - 1) this.sentCommit = this.next - 1;
    if (!mutant.nextBelowMatch) this.check();
    return true;
  }

  get isPaused(): boolean {
    return this.state === ProgressState.Snapshot || this.paused;
  }

  private check(): void {
    if (this.match >= this.next) broken("match below next", this.match, this.next);
  }

  clone(): Progress {
    const copy = new Progress(this.next, this.isLearner, this.session, this.messagesMax, this.bytesMax);
    copy.match = this.match;
    copy.state = this.state;
    copy.sentCommit = this.sentCommit;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.recentActive = this.recentActive;
    copy.paused = this.paused;
    copy.inflights = this.inflights.clone();
    return copy;
  }
}
