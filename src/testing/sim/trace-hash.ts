/**
 * A running digest of everything that happened, to compare two runs of one seed; and, when asked, the text of it.
 * Two 32-bit lanes: an accidental collision of different traces is one in 2^64.
 */
export class TraceHash {
  private low = 0x2545f491;
  private high = 0x9e3779b9;
  /** Set to receive each line as text: for humans who replay a seed. */
  sink: ((line: string) => void) | null = null;

  /** Adds an integer of any size below 2^53. */
  number(value: number): void {
    const lower = value >>> 0;
    const upper = (value / 4294967296) >>> 0;
    this.low = Math.imul(this.low ^ lower, 0x85ebca6b);
    this.low ^= this.low >>> 13;
    this.high = Math.imul(this.high ^ upper ^ (this.low >>> 3), 0xc2b2ae35);
    this.high ^= this.high >>> 16;
  }

  /** Adds a text. */
  text(value: string): void {
    for (let i = 0; i < value.length; i++) this.number(value.charCodeAt(i));
    this.number(value.length);
  }

  /** Adds bytes. */
  bytes(value: Uint8Array): void {
    for (let i = 0; i < value.length; i++) this.number(value[i] as number);
    this.number(value.length);
  }

  /** Adds an event with numbers, and writes it as a line when somebody listens. */
  event(nowUs: number, name: string, a: number, b: number, c: number, d: number): void {
    this.number(nowUs);
    this.text(name);
    this.number(a);
    this.number(b);
    this.number(c);
    this.number(d);
    this.sink?.(`${(nowUs / 1000).toFixed(3)} ${name} ${a} ${b} ${c} ${d}`);
  }

  /** 16 hexadecimal digits. */
  value(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
    return hex(this.high) + hex(this.low);
  }
}
