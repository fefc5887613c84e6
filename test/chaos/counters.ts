import type { LateWrites } from "./late-writes.js";
import type { OpRecord } from "./records.js";

/**
 * Every acknowledged increment is there once: each found what the one before it had left, and the file holds what the
 * last one left. `contentOf` answers what stands in the file at the end.
 */
export async function checkCounters(
  history: readonly OpRecord[],
  contentOf: (target: string) => Promise<Buffer>,
  late: LateWrites,
): Promise<string[]> {
  const violations: string[] = [];
  const targets = new Set(history.filter((each) => each.op === "increment").map((each) => each.target));
  for (const target of targets) {
    const increments = history.filter((each) => each.op === "increment" && each.target === target);
    const bytes = await contentOf(target);
    const final = bytes.length >= 8 ? Number(bytes.readBigUInt64LE(0)) : 0;
    violations.push(...new Counter(target, increments, late).check(final));
  }
  return violations;
}

class Counter {
  readonly #violations: string[] = [];
  readonly #explained = new Set<OpRecord>();
  #due = 0;
  #last: OpRecord | null = null;
  /** Increments of unknown outcome that may have been done and were not seen yet. */
  #open = 0;

  constructor(
    private readonly target: string,
    private readonly increments: readonly OpRecord[],
    private readonly late: LateWrites,
  ) {}

  check(final: number): string[] {
    for (const record of [...this.increments].sort((a, b) => a.callUs - b.callUs)) {
      if (record.outcome !== "done") this.#open += 1;
      else {
        const value = record.value ?? -1;
        this.#see(value, record.returnUs, `client ${record.client}`);
        this.#due = value + 1;
        this.#last = record;
      }
    }
    const done = this.increments.filter((each) => each.outcome === "done").length;
    this.#see(final, Infinity, `the end (${done} increments were acknowledged)`);
    return this.#violations;
  }

  #see(value: number, seenUs: number, who: string): void {
    const { target } = this;
    if (value > this.#due + this.#open)
      this.#violations.push(`${target} was ${value} for ${who}: ${this.#due} was due, ${this.#open} unknown`);
    this.#open -= Math.min(this.#open, Math.max(0, value - this.#due));
    if (value >= this.#due) return;
    const what = `${target} went back from ${this.#due} to ${value}`;
    const write = this.increments.find(
      (each) =>
        !this.#explained.has(each) &&
        (each.outcome === "unknown" || each.value === value - 1) &&
        this.late.explains(each, target, seenUs, what),
    );
    if (write !== undefined) this.#explained.add(write);
    else
      this.#violations.push(
        `acknowledged write lost: ${target} was ${value} for ${who} after client ${this.#last?.client ?? -1} had left ${this.#due}`,
      );
  }
}
