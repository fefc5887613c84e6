/** Smallest number of places; a power of two, as all are. */
const PLACES_MIN = 1_024;

/**
 * What is known under numbers that are given out in ascending order and forgotten in about the same order: a circle of
 * places that is as wide as the distance between the oldest and the newest number. Works like a Map, but gives the collector
 * nothing to do: a Map under such use throws its table away again and again, each old table leads to the next, and one that
 * has grown old keeps alive whatever the later ones held.
 */
export class NumberWindow<T> {
  private places: (T | undefined)[] = new Array<T | undefined>(PLACES_MIN).fill(undefined);
  /** No number below is known. */
  private oldest = 0;
  /** No number from here on is known. */
  private end = 0;
  private count = 0;

  get size(): number {
    return this.count;
  }

  get(number: number): T | undefined {
    return number >= this.oldest && number < this.end ? this.places[this.placeOf(number)] : undefined;
  }

  /** `number` is new, and none above it has been set before; or it is known, and its value is replaced. */
  set(number: number, value: T): void {
    if (this.count === 0) {
      this.oldest = number;
      this.end = number;
    }
    if (number < this.oldest || (number < this.end && this.get(number) === undefined))
      throw new Error(`invariant: number ${number} comes after ${this.end - 1}`);
    if (number - this.oldest >= this.places.length) this.widen(number);
    if (this.places[this.placeOf(number)] === undefined) this.count++;
    this.places[this.placeOf(number)] = value;
    if (number >= this.end) this.end = number + 1;
  }

  /** True if it was known. */
  delete(number: number): boolean {
    if (this.get(number) === undefined) return false;
    this.places[this.placeOf(number)] = undefined;
    this.count--;
    while (this.oldest < this.end && this.places[this.placeOf(this.oldest)] === undefined) this.oldest++;
    return true;
  }

  /** All values, in the order of their numbers. */
  *values(): Generator<T> {
    for (let number = this.oldest; number < this.end; number++) {
      const value = this.places[this.placeOf(number)];
      if (value !== undefined) yield value;
    }
  }

  clear(): void {
    this.places = new Array<T | undefined>(PLACES_MIN).fill(undefined);
    this.oldest = this.end = 0;
    this.count = 0;
  }

  private placeOf(number: number): number {
    // Not a mask: numbers may outgrow the 32 bits that a mask leaves.
    return number % this.places.length;
  }

  private widen(number: number): void {
    let length = this.places.length;
    while (number - this.oldest >= length) length *= 2;
    const wider = new Array<T | undefined>(length).fill(undefined);
    for (let n = this.oldest; n < this.end; n++) wider[n % length] = this.places[this.placeOf(n)];
    this.places = wider;
  }
}
