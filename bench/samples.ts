/** Durations in ms, all of them kept, so that a percentile is a measured value and not a bucket's edge. */
export class Samples {
  #values = new Float64Array(4_096);
  #count = 0;

  add(ms: number): void {
    if (this.#count === this.#values.length) {
      const grown = new Float64Array(this.#count * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#count++] = ms;
  }

  get count(): number {
    return this.#count;
  }

  /** The smallest value that at least `share` of all values do not exceed; NaN without values. */
  percentile(share: number): number {
    if (this.#count === 0) return Number.NaN;
    const sorted = this.#values.slice(0, this.#count).sort();
    return sorted[Math.max(0, Math.ceil(share * this.#count) - 1)] as number;
  }
}
