import type { v1 } from "../../wire/index.js";

/** Receives events as they come. */
type Listener = (events: readonly v1.IEvent[]) => void;

/** The latest events of this node's replica, in order, for `holdfast events` and `explain`. Bounded. */
export class EventRing {
  private events: v1.IEvent[] = [];
  private first = 0;
  private dropped = false;
  private readonly listeners = new Set<Listener>();

  constructor(private readonly max: number) {}

  push(events: readonly v1.IEvent[]): void {
    this.events.push(...events);
    const over = this.events.length - this.first - this.max;
    if (over > 0) {
      this.first += over;
      this.dropped = true;
      // Amortised: the array is copied once in `max` events.
      if (this.first > this.max) {
        this.events = this.events.slice(this.first);
        this.first = 0;
      }
    }
    for (const listener of this.listeners) listener(events);
  }

  /** A snapshot was installed: what lies before it was never seen here. */
  clear(): void {
    this.events = [];
    this.first = 0;
    this.dropped = true;
  }

  /** Events from a revision on, and whether older ones that were asked for are gone. */
  from(revision: number): { readonly events: readonly v1.IEvent[]; readonly compacted: boolean } {
    const kept = this.events.slice(this.first);
    const oldest = Number(kept[0]?.revision ?? 0);
    return {
      events: kept.filter((event) => Number(event.revision ?? 0) >= revision),
      compacted: this.dropped && revision !== 0 && revision < oldest,
    };
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
