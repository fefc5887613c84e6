/** What a run counted: faults injected by kind and situations reached. */
export class Tally {
  readonly faults = new Map<string, number>();
  readonly situations = new Map<string, number>();

  fault(kind: string, by = 1): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + by);
  }

  situation(name: string): void {
    this.situations.set(name, (this.situations.get(name) ?? 0) + 1);
  }

  /** Adds another run's counts. */
  add(other: Tally): void {
    for (const [kind, count] of other.faults) this.fault(kind, count);
    for (const [name, count] of other.situations) {
      this.situations.set(name, (this.situations.get(name) ?? 0) + count);
    }
  }
}
