/**
 * Until when a node holds its lease, from the answers of coordinators. A lease runs from the moment at which a heartbeat
 * was sent, never from its answer: the promise may have been given right after the sending (design section 5).
 */
export class LeaseTerm {
  private members: readonly string[] = [];
  private readonly sentMs = new Map<number, number>();
  private readonly grantedMs = new Map<string, number>();
  private readonly refused = new Set<string>();
  private readonly reports = new Map<string, { readonly sequence: number; readonly voters: number }>();
  private majority = Number.POSITIVE_INFINITY;
  private endMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly leaseMs: number,
    private readonly marginMs: number,
    /** The number of the last heartbeat before this term: answers to earlier ones mean another incarnation. */
    private sequence = 0,
    /** Heartbeats whose answers still count. */
    private readonly keptMax = 64,
  ) {}

  /** The number of the latest heartbeat. */
  get lastSequence(): number {
    return this.sequence;
  }

  /** The coordinators that vote, as far as this node has heard. */
  setMembers(members: readonly string[]): void {
    this.members = members;
    this.count();
  }

  /**
   * How many vote, as a coordinator says in an answer: the list here may be behind. What the members of the list said last
   * counts, so that a larger group is noticed at once, and a smaller one when each of them knows of it; what was said by
   * those that have gone does not, or a node would ask for a majority of a group that is no more, for ever.
   */
  reported(coordinator: string, sequence: number, voters: number): void {
    if (sequence < (this.reports.get(coordinator)?.sequence ?? 0)) return;
    const before = this.reports.get(coordinator)?.voters;
    this.reports.set(coordinator, { sequence, voters });
    if (before !== voters) this.count();
  }

  get memberCount(): number {
    return this.members.length;
  }

  /** A new heartbeat leaves now: answers its number. */
  sent(nowMs: number): number {
    this.sequence += 1;
    this.sentMs.set(this.sequence, nowMs);
    this.sentMs.delete(this.sequence - this.keptMax);
    return this.sequence;
  }

  granted(coordinator: string, sequence: number): void {
    const sent = this.sentMs.get(sequence);
    if (sent === undefined || sent <= (this.grantedMs.get(coordinator) ?? Number.NEGATIVE_INFINITY)) return;
    this.grantedMs.set(coordinator, sent);
    this.compute();
  }

  /**
   * This coordinator gives this incarnation no lease any more. Answers who does not by now: by a majority, when so many
   * refuse that those left are none; by nobody, when the answer is to an earlier incarnation or from no member.
   */
  refusedBy(coordinator: string, sequence: number): "by nobody" | "by some" | "by a majority" {
    if (!this.sentMs.has(sequence)) return "by nobody";
    this.refused.add(coordinator);
    const refusing = this.members.filter((member) => this.refused.has(member)).length;
    if (refusing === 0) return "by nobody";
    return this.members.length - refusing < this.majority ? "by a majority" : "by some";
  }

  /** Milliseconds left at `nowMs`; zero or less: not held. */
  leftMs(nowMs: number): number {
    return this.endMs - nowMs;
  }

  private count(): void {
    const said = this.members.map((member) => this.reports.get(member)?.voters ?? 0);
    this.majority = Math.floor(Math.max(this.members.length, ...said) / 2) + 1;
    this.compute();
  }

  private compute(): void {
    const sent = this.members.map((member) => this.grantedMs.get(member) ?? Number.NEGATIVE_INFINITY);
    sent.sort((a, b) => b - a);
    const oldestOfMajority = sent[this.majority - 1] ?? Number.NEGATIVE_INFINITY;
    this.endMs = oldestOfMajority + this.leaseMs - this.marginMs;
  }
}
