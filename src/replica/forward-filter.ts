/** How far behind the newest number of an origin a repeat is still told from something new. */
const WINDOW = 32_768;

interface Seen {
  readonly origin: number;
  readonly boot: number;
  readonly numbers: Set<number>;
  highest: number;
}

/**
 * At the leader, for one leadership: which forwarded proposals were taken up or refused already. A forward is repeated
 * under the same number when its answer stays away, and a network may deliver it twice; it is appended once. What was
 * refused stays refused, because its origin has gone on under a new number.
 */
export class ForwardFilter {
  /** As many as members have passed something on in this leadership: a handful. */
  private seen: Seen[] = [];

  /** True when this number is new; from then on it is not. Numbers too old to tell are never new. */
  admit(origin: number, boot: number, number: number): boolean {
    const seen = this.of(origin, boot);
    if (number <= seen.highest - WINDOW || seen.numbers.has(number)) return false;
    seen.numbers.add(number);
    if (number > seen.highest) seen.highest = number;
    if (seen.numbers.size > 2 * WINDOW) this.prune(seen);
    return true;
  }

  private of(origin: number, boot: number): Seen {
    for (const seen of this.seen) if (seen.origin === origin && seen.boot === boot) return seen;
    const seen: Seen = { origin, boot, numbers: new Set(), highest: 0 };
    this.seen.push(seen);
    return seen;
  }

  private prune(seen: Seen): void {
    const floor = seen.highest - WINDOW;
    for (const number of seen.numbers) if (number <= floor) seen.numbers.delete(number);
  }

  /** A new leadership: nothing of the old one can be repeated to it, forwards name their term. */
  reset(): void {
    this.seen = [];
  }
}
