import type { v1 } from "../../wire/index.js";
import { askAny } from "../admin-client.js";
import { usageError, type CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { duration, fineDuration, num } from "../format.js";
import { printListing, type Column } from "../output.js";

/** A phase of a failover, in the order of time, and what it covers. */
const PHASES = [
  { key: "detectMs", name: "detect", what: "last sign of life until the node's lease was over" },
  { key: "electMs", name: "elect", what: "of that time, what there was no leader" },
  {
    key: "fenceMs",
    name: "fence",
    what: "margin and fence command; of a planned move: freeze until nothing ran any more",
  },
  { key: "reassignMs", name: "reassign", what: "the new owner: proposed until applied" },
  { key: "reclaimMs", name: "reclaim", what: "applied until the client's first answer from the new owner" },
] as const;

interface FailoverRow {
  id: string;
  when: string;
  kind: string;
  cause: string;
  from: string;
  to: string[];
  /** Milliseconds with three decimals; together the pause of the session that waited longest. */
  detectMs: number;
  electMs: number;
  fenceMs: number;
  reassignMs: number;
  reclaimMs: number;
  pauseMs: number;
  /** The longest that a client has reported by its own clock; null: none has. */
  clientGapMs: number | null;
  sessions: number;
  handles: number;
  /** Whose clients came back. */
  back: number;
  /** Moved again before their clients were back: a later record waits for those. */
  movedOn: number;
  /** Whose clients did not come back in time: session and handles are closed. */
  lost: number;
  /** Whose clients may still come. */
  awaited: number;
  measured: number;
  slowestSession: string;
  operation: string;
  reason: string;
  revision: number;
}

const FAILOVER_COLUMNS: readonly Column<FailoverRow>[] = [
  { title: "ID", right: true, show: (row) => row.id },
  { title: "WHEN", show: (row) => row.when },
  { title: "KIND", show: (row) => row.kind },
  { title: "CAUSE", show: (row) => row.cause },
  { title: "FROM", show: (row) => row.from },
  { title: "TO", show: (row) => row.to.join(",") },
  ...PHASES.map(
    ({ key, name }): Column<FailoverRow> => ({
      title: name.toUpperCase(),
      right: true,
      show: (row) => fineDuration(row[key]),
    }),
  ),
  { title: "PAUSE", right: true, show: (row) => fineDuration(row.pauseMs) },
  { title: "CLIENT SAW", right: true, show: (row) => clientSaw(row) },
  { title: "SESSIONS", right: true, show: (row) => String(row.sessions) },
  { title: "HANDLES", right: true, show: (row) => String(row.handles) },
  { title: "BACK", right: true, show: (row) => String(row.back) },
  { title: "MOVED ON", right: true, show: (row) => String(row.movedOn) },
  { title: "LOST", right: true, show: (row) => String(row.lost) },
  { title: "OPERATION", wide: true, show: (row) => row.operation },
  { title: "REASON", wide: true, show: (row) => row.reason },
  { title: "REV", right: true, wide: true, show: (row) => String(row.revision) },
];

function clientSaw(row: FailoverRow): string {
  return row.clientGapMs === null ? "-" : fineDuration(row.clientGapMs);
}

/** A record as it is shown. */
export function toRow(record: v1.IFailoverRecord): FailoverRow {
  const ms = (us: number | null | undefined) => num(us) / 1_000;
  const phases = {
    detectMs: ms(record.detectUs),
    electMs: ms(record.electUs),
    fenceMs: ms(record.fenceUs),
    reassignMs: ms(record.reassignUs),
    reclaimMs: ms(record.reclaimUs),
  };
  const [sessions, back, gone] = [num(record.sessions), num(record.sessionsBack), num(record.sessionsLost)];
  const movedOn = num(record.sessionsMovedOn);
  return {
    id: String(record.id ?? 0),
    when: record.wallTime ?? "",
    kind: record.kind ?? "",
    cause: record.cause ?? "",
    from: record.from ?? "",
    to: record.to ?? [],
    ...phases,
    pauseMs: Math.round(Object.values(phases).reduce((sum, each) => sum + each, 0) * 1_000) / 1_000,
    clientGapMs: num(record.clientGapUs) === 0 ? null : ms(record.clientGapUs),
    sessions,
    handles: num(record.handles),
    back,
    movedOn,
    lost: Math.max(0, gone - movedOn),
    awaited: Math.max(0, sessions - back - gone),
    measured: num(record.sessionsMeasured),
    slowestSession: num(record.slowestSession) === 0 ? "" : String(record.slowestSession),
    operation: record.operationId ?? "",
    reason: record.reason ?? "",
    revision: num(record.revision),
  };
}

/** The failover records as rows, oldest first. */
async function collectFailovers(
  context: CliContext,
  id = "",
): Promise<{ rows: FailoverRow[]; revision: number }> {
  const reply = await askAny(
    context.endpoints,
    "ListFailovers",
    { stale: context.stale, id },
    context.timeoutMs,
  );
  return { rows: (reply.failovers ?? []).map(toRow), revision: num(reply.revision) };
}

/** `holdfast failovers [list | show ID]`. */
export async function failovers(context: CliContext, id = ""): Promise<number> {
  if (id !== "" && !/^\d{1,15}$/.test(id))
    throw usageError(`${id} is no failover's id`, "holdfast failovers");
  const { rows, revision } = await collectFailovers(context, id);
  const [only] = rows;
  const asText = context.output === "table" || context.output === "wide";
  if (id !== "" && only !== undefined && asText) {
    context.out(story(only));
    return EXIT.ok;
  }
  printListing(context, {
    kind: "FailoverList",
    columns: FAILOVER_COLUMNS,
    rows,
    extra: { revision },
    empty: "no failover yet",
  });
  return EXIT.ok;
}

/** One record, told. */
function story(row: FailoverRow): string {
  const line = (name: string, value: string, what = "") =>
    `  ${name.padEnd(10)}${value.padStart(11)}${what === "" ? "" : `   ${what}`}`;
  const counts = `${row.back} came back, ${row.movedOn} moved on, ${row.lost} did not come, ${row.awaited} are waited for`;
  const operation = row.operation === "" ? "" : `, operation ${row.operation}`;
  return [
    `${row.kind} ${row.id} (${row.cause}${operation})${row.when === "" ? "" : `, ${row.when}`}`,
    `${row.sessions} sessions with ${row.handles} handles, from ${row.from || "nobody"} to ${row.to.join(", ") || "nobody"}; ${counts}`,
    ...(row.reason === "" ? [] : [`Reason: ${row.reason}`]),
    "",
    ...PHASES.map(({ key, name, what }) => line(name, precise(row[key]), what)),
    line("together", precise(row.pauseMs), pauseOf(row)),
    line("client saw", row.clientGapMs === null ? "-" : precise(row.clientGapMs), reportedBy(row)),
  ].join("\n");
}

function precise(ms: number): string {
  return ms < 10_000 ? `${ms.toFixed(1)} ms` : duration(ms);
}

function pauseOf(row: FailoverRow): string {
  if (row.slowestSession === "") return "until the takeover: no client was back yet";
  return `of session ${row.slowestSession}, which waited longest of ${row.measured} measured`;
}

function reportedBy(row: FailoverRow): string {
  return row.clientGapMs === null
    ? "no client has said how long it waited"
    : "the longest, by the client's own clock";
}
