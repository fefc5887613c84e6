/**
 * Cluster time: milliseconds that never go back and stand still while nobody leads. Only a leader that has applied an
 * entry of its own term advances it: by then it has seen the last stamp that anybody gave out.
 */
export class ClusterTime {
  private lastStampMs = 0;
  private leading: { readonly baseMs: number; readonly sinceMs: number } | null = null;

  /** The last stamp that was applied: the same on every member at the same applied index. */
  get lastStamp(): number {
    return this.lastStampMs;
  }

  /** An entry with this stamp was applied. */
  applied(stampMs: number): void {
    if (stampMs > this.lastStampMs) this.lastStampMs = stampMs;
  }

  /** This member leads and has applied all that came before. */
  startLeading(nowMs: number): void {
    this.leading = { baseMs: this.lastStampMs, sinceMs: nowMs };
  }

  stopLeading(): void {
    this.leading = null;
  }

  /** Present cluster time at the leader; the last applied stamp elsewhere. */
  now(nowMs: number): number {
    if (this.leading === null) return this.lastStampMs;
    const ahead = this.leading.baseMs + Math.floor(nowMs - this.leading.sinceMs);
    return ahead > this.lastStampMs ? ahead : this.lastStampMs;
  }

  /** A snapshot was installed: its time is what the cluster had reached, whatever this member thought. */
  reset(stampMs: number): void {
    this.lastStampMs = stampMs;
    this.leading = null;
  }
}
