import type { v1 } from "../../wire/index.js";

/** Receives events as they come. */
type Listener = (events: readonly v1.IEvent[]) => void;

/** The latest of a sequence, by number; older ones fall out. */
class Latest {
  private items: { readonly number: number; readonly event: v1.IEvent }[] = [];
  private first = 0;

  constructor(private readonly max: number) {}

  push(number: number, event: v1.IEvent): void {
    this.items.push({ number, event });
    if (this.items.length - this.first <= this.max) return;
    this.first += 1;
    // Amortised: the array is copied once in `max` events.
    if (this.first <= this.max) return;
    this.items = this.items.slice(this.first);
    this.first = 0;
  }

  /** Number of the oldest that is kept; infinite for none. */
  get oldest(): number {
    return this.items[this.first]?.number ?? Infinity;
  }

  before(number: number): v1.IEvent[] {
    const events: v1.IEvent[] = [];
    for (let i = this.first; i < this.items.length; i++) {
      const item = this.items[i];
      if (item === undefined || item.number >= number) break;
      events.push(item.event);
    }
    return events;
  }

  clear(): void {
    this.items = [];
    this.first = 0;
  }
}

/**
 * The latest events of this node's replica, and of what the node saw by itself, in order, for `holdfast events` and
 * `explain`. Bounded. What operators look for is kept longer than the rest: a busy minute of opens and closes must not
 * push out why a node went down an hour ago.
 */
export class EventRing {
  private readonly recent: Latest;
  private readonly notable: Latest;
  private readonly notableKinds: ReadonlySet<string>;
  private readonly listeners = new Set<Listener>();
  private count = 0;
  private dropped = false;
  private tokenGiven = 0;

  /** `max`: of all kinds; `notable`: of its kinds, besides. */
  constructor(
    private readonly max: number,
    notable: { readonly kinds: readonly string[]; readonly max: number } = { kinds: [], max: 0 },
  ) {
    this.recent = new Latest(max);
    this.notable = new Latest(notable.max);
    this.notableKinds = new Set(notable.kinds);
  }

  push(events: readonly v1.IEvent[]): void {
    for (const event of events) {
      const number = this.count++;
      this.recent.push(number, event);
      if (this.notableKinds.has(event.kind ?? "")) this.notable.push(number, event);
    }
    if (this.count > this.max) this.dropped = true;
    for (const listener of this.listeners) listener(events);
  }

  /** A snapshot was installed: what lies before it was never seen here, and what was seen may be out of order with it. */
  clear(): void {
    this.recent.clear();
    this.notable.clear();
    this.dropped = true;
  }

  /** Events from a revision on, and whether older ones that were asked for are gone. */
  from(revision: number): { readonly events: readonly v1.IEvent[]; readonly compacted: boolean } {
    const recent = this.recent.before(Infinity);
    const kept = [...this.notable.before(this.recent.oldest), ...recent];
    const oldest = Number(recent[0]?.revision ?? 0);
    return {
      events: kept.filter((event) => Number(event.revision ?? 0) >= revision),
      compacted: this.dropped && revision !== 0 && revision < oldest,
    };
  }

  /** From where a reader goes on who has seen everything up to `applied`; what this node notes later is not before it. */
  token(applied: number): number {
    this.tokenGiven = Math.max(this.tokenGiven, applied + 1);
    return applied + 1;
  }

  /** The revision under which something that is in no log is noted now: no reader's token may have passed it. */
  noteRevision(applied: number): number {
    return Math.max(applied, this.tokenGiven);
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
