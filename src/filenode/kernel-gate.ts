/**
 * Lets few operations into the kernel at a time. What waits here can still be refused when the node lease goes; what is
 * inside cannot be recalled by anybody.
 */
export class KernelGate {
  private inside = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly insideMax: number) {}

  /** Runs `operation` when its turn comes. `admit` is asked at that moment and throws to turn it away. */
  async run<T>(admit: () => void, operation: () => Promise<T>): Promise<T> {
    if (this.inside >= this.insideMax) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.inside += 1;
    try {
      admit();
      return await operation();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.inside -= 1;
      else next();
    }
  }

  get busy(): number {
    return this.inside;
  }
}
