/** Something that has to be looked at, at the earliest at some cluster time. */
export interface Timed {
  /** When it is in the queue for; Infinity: it is not. Bookkeeping of the queue. */
  scheduledMs: number;
}

/**
 * Earliest-first queue. Entries may be outdated (what they wait for was cancelled or moved): whoever takes one looks at
 * the row itself. Not part of the replicated state: it is derived from it and may differ between members.
 */
export class Deadlines<T extends Timed> {
  #heap: { atMs: number; row: T }[] = [];

  /** Looks at `row` at `atMs` or earlier. */
  schedule(row: T, atMs: number): void {
    if (!Number.isFinite(atMs) || row.scheduledMs <= atMs) return;
    row.scheduledMs = atMs;
    const heap = this.#heap;
    heap.push({ atMs, row });
    let i = heap.length - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if ((heap[up] as { atMs: number }).atMs <= (heap[i] as { atMs: number }).atMs) break;
      this.#swap(i, up);
      i = up;
    }
  }

  /** Time of the earliest entry, outdated or not. */
  earliestMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Takes the earliest row if its time has come. */
  take(nowMs: number): T | null {
    const heap = this.#heap;
    for (;;) {
      const top = heap[0];
      if (top === undefined || top.atMs > nowMs) return null;
      const last = heap.pop() as { atMs: number; row: T };
      if (heap.length > 0) {
        heap[0] = last;
        this.#sink();
      }
      // A row that was scheduled again for an earlier time has left this entry behind.
      if (top.row.scheduledMs !== top.atMs) continue;
      top.row.scheduledMs = Number.POSITIVE_INFINITY;
      return top.row;
    }
  }

  clear(): void {
    this.#heap = [];
  }

  #sink(): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      if (left >= heap.length) return;
      const right = left + 1;
      const least = right < heap.length && at(heap, right) < at(heap, left) ? right : left;
      if (at(heap, i) <= at(heap, least)) return;
      this.#swap(i, least);
      i = least;
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    const held = heap[a] as { atMs: number; row: T };
    heap[a] = heap[b] as { atMs: number; row: T };
    heap[b] = held;
  }
}

function at(heap: readonly { atMs: number }[], i: number): number {
  return (heap[i] as { atMs: number }).atMs;
}
