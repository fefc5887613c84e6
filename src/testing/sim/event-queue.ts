/** Something that will happen. `cancel` is idempotent. */
export class SimEvent {
  cancelled = false;

  constructor(
    readonly timeUs: number,
    readonly sequence: number,
    /** Null once it ran or was cancelled, so that what it holds can be collected. */
    public run: (() => void) | null,
  ) {}

  cancel(): void {
    this.cancelled = true;
    this.run = null;
  }
}

/** Binary heap by (time, sequence): events of the same microsecond happen in the order in which they were planned. */
export class EventQueue {
  private readonly heap: SimEvent[] = [];
  private sequence = 0;

  get size(): number {
    return this.heap.length;
  }

  push(timeUs: number, run: () => void): SimEvent {
    const event = new SimEvent(timeUs, this.sequence++, run);
    const { heap } = this;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as SimEvent;
      if (!before(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
    return event;
  }

  /** The earliest event that was not cancelled, still in the queue; null when there is none. */
  peek(): SimEvent | null {
    for (;;) {
      const top = this.heap[0];
      if (top === undefined) return null;
      if (!top.cancelled) return top;
      this.removeTop();
    }
  }

  /** Takes the earliest event out; null when there is none. */
  pop(): SimEvent | null {
    const top = this.peek();
    if (top !== null) this.removeTop();
    return top;
  }

  private removeTop(): void {
    const { heap } = this;
    const last = heap.pop() as SimEvent;
    const size = heap.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1] as SimEvent, heap[child] as SimEvent)) child++;
      const below = heap[child] as SimEvent;
      if (!before(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}

function before(x: SimEvent, y: SimEvent): boolean {
  return x.timeUs < y.timeUs || (x.timeUs === y.timeUs && x.sequence < y.sequence);
}
