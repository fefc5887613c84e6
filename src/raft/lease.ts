/** Rounds remembered while no quorum answers; older ones could only give shorter leases. */
const ROUNDS_MAX = 64;

/**
 * How long a leader may answer reads without asking: from the send time of the latest round of heartbeats that a quorum
 * has answered. Send time, because a quorum's promise to refuse votes starts when it hears the heartbeat, which is never
 * before that (lesson L41).
 */
export class Lease {
  private positions: number[] = [];
  private sentMs: number[] = [];
  private untilMs = Number.NEGATIVE_INFINITY;
  private ended = false;

  /** A round with this position leaves now. */
  sent(position: number, nowMs: number): void {
    if (this.ended) return;
    if (this.positions.length === ROUNDS_MAX) {
      this.positions.shift();
      this.sentMs.shift();
    }
    this.positions.push(position);
    this.sentMs.push(nowMs);
  }

  /** A quorum has answered all rounds up to `position`. */
  confirmed(position: number, durationMs: number): void {
    let count = 0;
    while (count < this.positions.length && (this.positions[count] as number) <= position) count++;
    if (count === 0) return;
    const until = (this.sentMs[count - 1] as number) + durationMs;
    if (until > this.untilMs) this.untilMs = until;
    this.positions.splice(0, count);
    this.sentMs.splice(0, count);
  }

  /** For a mutant: a lease from `nowMs` on, whenever the round was sent. */
  confirmedAt(nowMs: number, durationMs: number): void {
    if (!this.ended) this.untilMs = nowMs + durationMs;
  }

  isValid(nowMs: number): boolean {
    return nowMs < this.untilMs;
  }

  /**
   * Ends the lease at once and for the rest of this leadership: somebody was told to campaign, and that order may arrive
   * at any time from now on, past the transfer's own deadline too. Followers then vote past their promise (lesson L38).
   */
  end(): void {
    this.ended = true;
    this.untilMs = Number.NEGATIVE_INFINITY;
    this.positions = [];
    this.sentMs = [];
  }

  clone(): Lease {
    const copy = new Lease();
    copy.positions = this.positions.slice();
    copy.sentMs = this.sentMs.slice();
    copy.untilMs = this.untilMs;
    copy.ended = this.ended;
    return copy;
  }
}
