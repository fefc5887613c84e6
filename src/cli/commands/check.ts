import { createInterface } from "node:readline/promises";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { killLeader, killOwner, moveLeadership, moveProbe, type Harm } from "../check/harms.js";
import { Probe } from "../check/probe.js";
import { pollUntil } from "../check/wait.js";
import { parseDuration, usageError, type CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { printListing, type Column } from "../output.js";
import { collectStatus } from "./status.js";

/** Options of `holdfast check failover`. */
export interface CheckOptions {
  readonly share: string;
  readonly runs: number;
  readonly budget: string;
  readonly killLeader?: boolean;
  readonly killOwner?: boolean;
  readonly data?: string;
  readonly yes?: boolean;
}

/** Longest wait for all nodes to be well before one is killed: killed ones have to be started again meanwhile. */
const WELL_WITHIN_MS = 30_000;

const RUNS_MAX = 1_000;

interface Row {
  what: string;
  runs: number;
  minMs: number | null;
  p50Ms: number | null;
  p99Ms: number | null;
  maxMs: number | null;
  budgetMs: number;
  within: boolean;
}

const ms = (value: number | null) => (value === null ? "-" : value.toFixed(1));

const COLUMNS: readonly Column<Row>[] = [
  { title: "WHAT", show: (row) => row.what },
  { title: "RUNS", right: true, show: (row) => String(row.runs) },
  { title: "MIN ms", right: true, show: (row) => ms(row.minMs) },
  { title: "P50 ms", right: true, show: (row) => ms(row.p50Ms) },
  { title: "P99 ms", right: true, show: (row) => ms(row.p99Ms) },
  { title: "MAX ms", right: true, show: (row) => ms(row.maxMs) },
  { title: "BUDGET ms", right: true, show: (row) => String(row.budgetMs) },
  { title: "WITHIN", show: (row) => (row.within ? "yes" : "NO") },
];

/** `holdfast check failover`: does the harm, measures the pause that a client saw, stops at the first that is too long. */
export async function checkFailover(context: CliContext, options: CheckOptions): Promise<number> {
  const budgetMs = parseDuration(options.budget, "--budget");
  if (options.runs < 1 || options.runs > RUNS_MAX)
    throw usageError(`--runs ${options.runs} is out of bounds`, `write --runs 1 to --runs ${RUNS_MAX}`);
  const harms = harmsOf(context, options);
  const kills = harms.filter((harm) => harm.kills);
  if (options.yes !== true) await consent(context, harms, options.runs, budgetMs);
  const probe = await Probe.open(context.endpoints, options.share, context.timeoutMs);
  const interrupted = () => void probe.close().finally(() => process.exit(130));
  process.once("SIGINT", interrupted);
  const rows: Row[] = [];
  try {
    for (const harm of harms) {
      const measured = await measure(context, harm, probe, options.runs, budgetMs);
      rows.push(...measured);
      if (measured.some((row) => !row.within)) break;
    }
  } finally {
    process.removeListener("SIGINT", interrupted);
    await probe.close();
  }
  const within = rows.every((row) => row.within);
  printListing(context, { kind: "FailoverCheck", columns: COLUMNS, rows, extra: { budgetMs, within } });
  if (rows.some((row) => kills.some((harm) => harm.name === row.what)))
    context.say("nodes were killed. Next: holdfast status shows whether all are back");
  if (within) return EXIT.ok;
  context.say(
    `the budget of ${budgetMs} ms was exceeded; nothing more was done. Next: holdfast failovers, holdfast status -o wide`,
  );
  return EXIT.failure;
}

function harmsOf(context: CliContext, options: CheckOptions): Harm[] {
  const harms: Harm[] = [moveLeadership(context), moveProbe(context)];
  if (options.killLeader !== true && options.killOwner !== true) return harms;
  if (options.data === undefined)
    throw usageError(
      "--kill-leader and --kill-owner end processes of this host by their pid files and want --data",
      "add --data FOLDER, the folder of `holdfast up`",
    );
  if (options.killLeader === true) harms.push(killLeader(context, options.data));
  if (options.killOwner === true) harms.push(killOwner(options.data));
  return harms;
}

/** Every harm is a pause for the clients of the cluster that is measured, planned ones too: each is agreed to by itself. */
async function consent(
  context: CliContext,
  harms: readonly Harm[],
  runs: number,
  budgetMs: number,
): Promise<void> {
  if (process.stdin.isTTY !== true)
    throw usageError("disturbing a cluster wants consent, and there is nobody to ask", "add --yes");
  const ask = createInterface({ input: process.stdin, output: process.stderr });
  try {
    for (const harm of harms) {
      const how = harm.kills ? "with kill -9" : "planned";
      const answer = await ask.question(
        `${harm.name} (${how}), ${runs} time(s) or until a pause is above ${budgetMs} ms, on this cluster? [y/N] `,
      );
      if (!/^y(es)?$/i.test(answer.trim()))
        throw new HoldfastError(ErrorCode.CANCELLED, `${harm.name} was not agreed to; nothing was done`, {
          next: harm.kills
            ? "leave that option away: planned moves kill nothing"
            : "holdfast failovers shows what past ones took",
        });
    }
  } finally {
    ask.close();
  }
  context.say("going on");
}

/** One row; a second one where the budget was exceeded between two runs, when nothing had been done yet. */
async function measure(
  context: CliContext,
  harm: Harm,
  probe: Probe,
  runs: number,
  budgetMs: number,
): Promise<Row[]> {
  const pauses: number[] = [];
  for (let run = 0; run < runs; run++) {
    if (harm.kills) await allWell(context);
    const { pauseMs, exceeded, undisturbed } = await probe.during(() => harm.run(probe), budgetMs);
    const rounded = Math.round(pauseMs * 10) / 10;
    if (undisturbed) {
      const done = pauses.length === 0 ? [] : [summed(harm.name, pauses, budgetMs, true)];
      return [...done, summed(`before ${harm.name}`, [rounded], budgetMs, false)];
    }
    pauses.push(rounded);
    if (exceeded) return [summed(harm.name, pauses, budgetMs, false)];
  }
  return [summed(harm.name, pauses, budgetMs, true)];
}

function summed(what: string, pauses: readonly number[], budgetMs: number, within: boolean): Row {
  const sorted = [...pauses].sort((a, b) => a - b);
  const at = (q: number) => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? null;
  return {
    what,
    runs: pauses.length,
    minMs: at(0),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    budgetMs,
    within,
  };
}

/** A second node must not be killed while the first is away: that would take the quorum, not measure a failover. */
async function allWell(context: CliContext): Promise<void> {
  await pollUntil(
    "every node is well, before one is killed",
    WELL_WITHIN_MS,
    "start what is down (holdfast up --restart does so by itself), see holdfast status",
    async () => {
      const rows = await collectStatus(context);
      return rows.every((row) => row.error === null && row.health === "ok") ? true : undefined;
    },
  );
}
