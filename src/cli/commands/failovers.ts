import { askAny } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { duration, num } from "../format.js";
import { printListing, type Column } from "../output.js";

interface FailoverRow {
  id: string;
  when: string;
  kind: string;
  cause: string;
  from: string;
  to: string[];
  detectMs: number;
  electMs: number;
  fenceMs: number;
  reassignMs: number;
  reclaimMs: number;
  sessions: number;
  handles: number;
  back: number;
  lost: number;
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
  { title: "DETECT", right: true, show: (row) => duration(row.detectMs) },
  { title: "ELECT", right: true, show: (row) => duration(row.electMs) },
  { title: "FENCE", right: true, show: (row) => duration(row.fenceMs) },
  { title: "REASSIGN", right: true, show: (row) => duration(row.reassignMs) },
  { title: "RECLAIM", right: true, show: (row) => duration(row.reclaimMs) },
  { title: "SESSIONS", right: true, show: (row) => String(row.sessions) },
  { title: "HANDLES", right: true, show: (row) => String(row.handles) },
  { title: "BACK", right: true, show: (row) => String(row.back) },
  { title: "LOST", right: true, show: (row) => String(row.lost) },
  { title: "OPERATION", wide: true, show: (row) => row.operation },
  { title: "REASON", wide: true, show: (row) => row.reason },
  { title: "REV", right: true, wide: true, show: (row) => String(row.revision) },
];

/** The failover records as rows, oldest first. */
export async function collectFailovers(
  context: CliContext,
  id = "",
): Promise<{ rows: FailoverRow[]; revision: number }> {
  const reply = await askAny(
    context.endpoints,
    "ListFailovers",
    { stale: context.stale, id },
    context.timeoutMs,
  );
  const rows = (reply.failovers ?? []).map((record) => ({
    id: String(record.id ?? 0),
    when: record.wallTime ?? "",
    kind: record.kind ?? "",
    cause: record.cause ?? "",
    from: record.from ?? "",
    to: record.to ?? [],
    detectMs: record.detectMs ?? 0,
    electMs: record.electMs ?? 0,
    fenceMs: record.fenceMs ?? 0,
    reassignMs: record.reassignMs ?? 0,
    reclaimMs: record.reclaimMs ?? 0,
    sessions: num(record.sessions),
    handles: num(record.handles),
    back: num(record.sessionsBack),
    lost: num(record.sessionsLost),
    operation: record.operationId ?? "",
    reason: record.reason ?? "",
    revision: num(record.revision),
  }));
  return { rows, revision: num(reply.revision) };
}

/** `holdfast failovers [list | show ID]`. */
export async function failovers(context: CliContext, id = ""): Promise<number> {
  const { rows, revision } = await collectFailovers(context, id);
  printListing(context, {
    kind: "FailoverList",
    columns: FAILOVER_COLUMNS,
    rows,
    extra: { revision },
    empty: "no failover yet",
  });
  return EXIT.ok;
}
