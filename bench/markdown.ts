import { readFileSync, writeFileSync } from "node:fs";
import type { Row } from "./cpu-cost.js";
import type { Machine, Ratio } from "./report.js";

const BEGIN = "<!-- measured: begin -->";
const END = "<!-- measured: end -->";

/** Puts the figures of this run into a document, between its two markers; what stands around them is left alone. */
export function writeMarkdown(
  file: string,
  rows: readonly Row[],
  claims: readonly Ratio[],
  where: Machine,
): void {
  const text = readFileSync(file, "utf8");
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${file} has no ${BEGIN} ... ${END}`);
  const block = [BEGIN, "", ...describe(rows, claims, where), ""].join("\n");
  writeFileSync(file, `${text.slice(0, begin)}${block}${text.slice(end)}`);
}

function describe(rows: readonly Row[], claims: readonly Ratio[], where: Machine): string[] {
  return [
    `${where.cores} x ${where.cpu}, ${where.memoryGb} GB, Node ${where.node}, ${where.kernel}. Load average before the run: ${where.loadBefore}.`,
    "",
    "| target | operation | in flight | operations/s | p50 ms | p99 ms | CPU µs/operation: leader | followers | client |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ...rows.map((row) => {
      const cells = [
        row.target,
        row.operation,
        row.inFlight,
        Math.round(row.opsPerSecond),
        number(row.p50Ms),
        number(row.p99Ms),
        Math.round(row.leaderCpuUsPerOp),
        Math.round(row.followersCpuUsPerOp),
        Math.round(row.clientCpuUsPerOp),
      ];
      return `| ${cells.join(" | ")} |`;
    }),
    "",
    "| figure | measured | wanted | |",
    "| --- | ---: | --- | --- |",
    ...claims.map(
      (claim) =>
        `| ${claim.what} | ${claim.value.toFixed(2)} | ${claim.wanted} | ${claim.met ? "met" : "missed"} |`,
    ),
  ];
}

function number(ms: number): string {
  return Number.isNaN(ms) ? "" : ms.toFixed(2);
}
