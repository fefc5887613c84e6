import { execFileSync } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";
import Table from "cli-table3";
import type { Row } from "./cpu-cost.js";
import { PLACES } from "./holdfast-load.js";

/** Where figures were measured; without it they mean nothing. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly node: string;
  readonly kernel: string;
  /** Before the benchmark began: well above zero means that something else was using the cores. */
  readonly loadBefore: number;
  readonly note: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    kernel: execFileSync("uname", ["-sr"]).toString().trim(),
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
    note: "client, three nodes and whatever else runs share these cores",
  };
}

/** One claim that the figures are held against. */
export interface Ratio {
  readonly what: string;
  readonly value: number;
  readonly wanted: string;
  readonly met: boolean;
}

/** In flight. */
const LEVELS = [1, 16, 64, 256];

/** The comparisons that can be made from what was measured. */
export function ratios(rows: readonly Row[]): Ratio[] {
  const find = (target: string, operation: string, inFlight: number) =>
    rows.find(
      (row) => row.target === target && row.operation.includes(operation) && row.inFlight === inFlight,
    );
  const found: Ratio[] = [];
  const compare = (what: string, a: number | undefined, b: number | undefined, atLeast: number) => {
    if (!a || !b) return;
    found.push({ what, value: a / b, wanted: `at least ${atLeast}`, met: a / b >= atLeast });
  };
  const atMost = (what: string, ms: number | undefined, limitMs: number) => {
    if (ms === undefined) return;
    found.push({ what, value: ms, wanted: `at most ${limitMs}`, met: ms <= limitMs });
  };
  for (const level of LEVELS)
    compare(
      `operations/s at ${level} in flight, library stream against etcd`,
      find("holdfast", "stream", level)?.opsPerSecond,
      find("etcd", "grpc-js", level)?.opsPerSecond,
      level === 64 ? 2 : 1,
    );
  compare(
    "etcd's p50 against ours at 1 in flight",
    find("etcd", "grpc-js", 1)?.p50Ms,
    find("holdfast", "stream", 1)?.p50Ms,
    1,
  );
  for (const place of PLACES)
    for (const level of LEVELS)
      compare(
        `operations/s at ${level} in flight, h2load against h2load, at ${place}`,
        find("holdfast", `h2load unary at ${place}`, level)?.opsPerSecond,
        find("etcd", `h2load unary at ${place}`, level)?.opsPerSecond,
        1,
      );
  for (const place of PLACES) {
    const p50Ms = (pair: string) => find("holdfast", `${pair}, session at ${place}`, 1)?.p50Ms;
    atMost(`open + close of a persistent handle, session at ${place}, p50 ms`, p50Ms("open + close"), 4);
    atMost(`lock + unlock, session at ${place}, p50 ms`, p50Ms("lock + unlock"), 3);
  }
  return found;
}

/** For the terminal. */
export function print(rows: readonly Row[], claims: readonly Ratio[], where: Machine): void {
  const table = new Table({
    head: [
      "target",
      "operation",
      "in flight",
      "ops/s",
      "p50 ms",
      "p99 ms",
      "max ms",
      "CPU µs/op: leader",
      "followers",
      "client",
      "errors",
    ],
    style: { head: [], border: [] },
  });
  for (const row of rows)
    table.push([
      row.target,
      row.operation,
      row.inFlight,
      Math.round(row.opsPerSecond),
      milliseconds(row.p50Ms),
      milliseconds(row.p99Ms),
      milliseconds(row.maxMs),
      Math.round(row.leaderCpuUsPerOp),
      Math.round(row.followersCpuUsPerOp),
      Math.round(row.clientCpuUsPerOp),
      row.errors,
    ]);
  console.log(table.toString());
  for (const claim of claims)
    console.log(
      `${claim.met ? "met   " : "MISSED"}  ${claim.value.toFixed(2)}  ${claim.what} (${claim.wanted})`,
    );
  console.log(
    `\n${where.cores} x ${where.cpu}, ${where.memoryGb} GB, Node ${where.node}, ${where.kernel}; load average before: ${where.loadBefore}; ${where.note}`,
  );
  for (const row of rows) if (row.error) console.log(`${row.target} ${row.operation}: ${row.error}`);
}

function milliseconds(ms: number): string {
  return Number.isNaN(ms) ? "-" : ms.toFixed(ms < 10 ? 2 : 1);
}
