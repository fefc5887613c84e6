/** Something that happens now and then, and that somebody may wait for. */
export class Signal {
  private waiting: (() => void)[] = [];

  /** It happens: all who wait go on. */
  fire(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const wake of waiting) wake();
  }

  /** Resolves when it happens next. */
  next(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}
