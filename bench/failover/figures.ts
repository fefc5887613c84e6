import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Machine } from "../report.js";

/** One line of the table: milliseconds, order statistics of all runs. With 30 runs p99 is the maximum. */
export interface FigureRow {
  readonly what: string;
  readonly runs: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** A busy time without harm. */
export interface Calm {
  readonly seconds: number;
  readonly puts: number;
  readonly elections: number;
}

/** What is wanted of a row: its beginning, the statistic, and the limit in milliseconds. */
const CLAIMS: readonly (readonly [what: string, statistic: "p50" | "p99" | "max", limitMs: number])[] = [
  ["holdfast: leader kill -9", "p50", 100],
  ["holdfast: leader kill -9", "p99", 400],
  ["holdfast: leader kill -9, 64 puts in flight", "p50", 100],
  ["holdfast: leader kill -9, 64 puts in flight", "p99", 400],
  ["holdfast: leader SIGSTOP", "max", 2_000],
  ["owner kill -9 to first read", "p99", 1_300],
  ["owner kill -9 to first read (owner is leader)", "p99", 1_300],
  ["planned transfer: longest gap of a busy client", "p99", 50],
];

const BEGIN = "<!-- failover: begin -->";
const END = "<!-- failover: end -->";

/** The figures of a benchmark that may run in parts: each part replaces its own rows in the file and leaves the rest. */
export class Figures {
  private rows: FigureRow[] = [];
  private calmTime: Calm | null = null;

  constructor(
    private readonly file: string,
    private readonly where: Machine,
  ) {
    if (file === "" || !existsSync(file)) return;
    const known = JSON.parse(readFileSync(file, "utf8")) as { rows?: FigureRow[]; calm?: Calm | null };
    this.rows = known.rows ?? [];
    this.calmTime = known.calm ?? null;
  }

  head(): void {
    process.stdout.write(`${"milliseconds".padEnd(58)} runs    min    p50    p90    p99    max\n`);
  }

  add(row: FigureRow): void {
    this.rows = [...this.rows.filter((each) => each.what !== row.what), row];
    const show = (ms: number) => ms.toFixed(0).padStart(7);
    const cells = [row.min, row.p50, row.p90, row.p99, row.max].map(show).join("");
    process.stdout.write(`${row.what.padEnd(58)}${String(row.runs).padStart(5)}${cells}\n`);
    this.save();
  }

  calm(time: Calm): void {
    this.calmTime = time;
    process.stdout.write(`${calmText(time)}\n`);
    this.save();
  }

  /** Prints what was wanted against what was measured; wants nothing of what was not. */
  claims(): void {
    for (const { text, met } of this.judged())
      process.stdout.write(`${met ? "met   " : "MISSED"}  ${text}\n`);
  }

  /** Rewrites the table between the document's failover markers. */
  writeMarkdown(document: string): void {
    const text = readFileSync(document, "utf8");
    const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
    if (begin < 0 || end < begin) throw new Error(`${document} has no ${BEGIN} ... ${END}`);
    writeFileSync(document, `${text.slice(0, begin)}${BEGIN}\n\n${this.markdown()}\n${text.slice(end)}`);
  }

  private judged(): { text: string; met: boolean }[] {
    const judged: { text: string; met: boolean }[] = [];
    for (const [what, statistic, limitMs] of CLAIMS) {
      const row = this.rows.find((each) => each.what === what);
      if (row === undefined) continue;
      const text = `${what}: ${statistic} ${row[statistic].toFixed(0)} ms, wanted at most ${limitMs}`;
      judged.push({ text, met: row[statistic] <= limitMs });
    }
    if (this.calmTime !== null)
      judged.push({ text: `${calmText(this.calmTime)}, wanted 0`, met: this.calmTime.elections === 0 });
    return judged;
  }

  private markdown(): string {
    const { cores, cpu, memoryGb, node, kernel, loadBefore } = this.where;
    const cell = (ms: number) => ms.toFixed(0);
    return [
      `${cores} x ${cpu}, ${memoryGb} GB, Node ${node}, ${kernel}. Load average before the run: ${loadBefore}.`,
      "",
      "| target and event | runs | min ms | p50 | p90 | p99 | max |",
      "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
      ...this.rows.map((row) => {
        const cells = [row.min, row.p50, row.p90, row.p99, row.max].map(cell).join(" | ");
        return `| ${row.what} | ${row.runs} | ${cells} |`;
      }),
      "",
      ...this.judged().map(({ text, met }) => `- ${met ? "met" : "missed"}: ${text}`),
      "",
    ].join("\n");
  }

  private save(): void {
    if (this.file === "") return;
    writeFileSync(
      this.file,
      JSON.stringify({ machine: this.where, rows: this.rows, calm: this.calmTime }, null, 2),
    );
  }
}

function calmText({ seconds, puts, elections }: Calm): string {
  return `${elections} elections in ${seconds} s under load, ${puts} puts`;
}
