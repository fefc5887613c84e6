import type { v1 } from "../../wire/index.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { askAny } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { duration, fineDuration, num } from "../format.js";
import { printListing, type Column } from "../output.js";
import { ambiguous } from "../usage-error.js";

/** How often a waiting command asks how far an operation is. */
const POLL_MS = 50;

/** After its last move an operation has this long to hear from the clients how long they waited. */
const MEASURED_WITHIN_MS = 700;

interface OperationRow {
  operation: string;
  kind: string;
  state: string;
  items: number;
  moved: number;
  by: string;
  reason: string;
  forced: boolean;
  tookMs: number | null;
  error: string;
}

const COLUMNS: readonly Column<OperationRow>[] = [
  { title: "OPERATION", show: (row) => row.operation },
  { title: "KIND", show: (row) => row.kind },
  { title: "STATE", show: (row) => row.state },
  { title: "MOVED", right: true, show: (row) => `${row.moved}/${row.items}` },
  { title: "TOOK", right: true, show: (row) => (row.tookMs === null ? "" : duration(row.tookMs)) },
  { title: "BY", show: (row) => row.by },
  { title: "REASON", show: (row) => row.reason },
  { title: "FORCED", wide: true, show: (row) => (row.forced ? "yes" : "no") },
  { title: "ERROR", show: (row) => row.error },
];

function toRow(record: v1.IOperationRecord): OperationRow {
  const items = record.items ?? [];
  const ended = num(record.endedMs);
  return {
    operation: record.id ?? "",
    kind: record.kind ?? "",
    state: record.state ?? "",
    items: items.length,
    moved: items.filter((item) => item.state === "moved").length,
    by: record.requestedBy ?? "",
    reason: record.reason ?? "",
    forced: record.forced ?? false,
    tookMs: ended === 0 ? null : Math.max(0, ended - num(record.begunMs)),
    error: record.error ?? "",
  };
}

/** `holdfast ops list`. */
export async function listOps(context: CliContext): Promise<number> {
  const reply = await askAny(
    context.endpoints,
    "ListOperations",
    { stale: context.stale },
    context.timeoutMs,
  );
  printListing(context, {
    kind: "OperationList",
    columns: COLUMNS,
    rows: (reply.operations ?? []).map(toRow),
    extra: { revision: num(reply.revision) },
    empty: "no operations yet. Next: holdfast transfer --help",
  });
  return EXIT.ok;
}

interface ItemRow {
  session: string;
  from: string;
  to: string;
  epochBefore: number;
  epochAfter: number | null;
  state: string;
  freezeMs: number | null;
  error: string;
}

/** Before and after, one row a session. */
export const ITEM_COLUMNS: readonly Column<ItemRow>[] = [
  { title: "SESSION", right: true, show: (row) => row.session },
  { title: "FROM", show: (row) => row.from },
  { title: "EPOCH", right: true, show: (row) => String(row.epochBefore) },
  { title: "TO", show: (row) => row.to },
  {
    title: "EPOCH THEN",
    right: true,
    show: (row) => (row.epochAfter === null ? "" : String(row.epochAfter)),
  },
  { title: "STATE", show: (row) => row.state },
  { title: "FREEZE", right: true, show: (row) => (row.freezeMs === null ? "" : fineDuration(row.freezeMs)) },
  { title: "ERROR", show: (row) => row.error },
];

/** The items of a plan or an operation as rows. */
export function itemRows(items: readonly v1.IOperationItem[] | null | undefined): ItemRow[] {
  return (items ?? []).map((item) => {
    const moved = item.state === "moved";
    return {
      session: String(item.sessionId ?? 0),
      from: item.from ?? "",
      to: item.to ?? "",
      epochBefore: num(item.epochBefore),
      epochAfter: moved ? num(item.epochAfter) : null,
      state: item.state ?? "",
      freezeMs: isMeasured(item) ? frozenMs(item) : null,
      error: item.error ?? "",
    };
  });
}

/** Whether anybody has said how long the client waited: its new owner, after its first answer there, or itself. */
function isMeasured(item: v1.IOperationItem): boolean {
  return item.state === "moved" && (num(item.reclaimUs) > 0 || num(item.clientGapUs) > 0);
}

/** What the session's client waited, in milliseconds; without its own word, what its owners have measured. */
function frozenMs(item: v1.IOperationItem): number {
  const measuredUs = num(item.fenceUs) + num(item.reassignUs) + num(item.reclaimUs);
  return (num(item.clientGapUs) || measuredUs) / 1_000;
}

/** One operation by id or unique prefix. */
export async function findOperation(context: CliContext, id: string): Promise<v1.IOperationRecord> {
  const reply = await askAny(
    context.endpoints,
    "ListOperations",
    { id, stale: context.stale },
    context.timeoutMs,
  );
  const found = reply.operations ?? [];
  const exact = found.find((record) => record.id === id) ?? (found.length === 1 ? found[0] : undefined);
  if (exact !== undefined) return exact;
  const ids = found.map((record) => record.id ?? "");
  throw ambiguous("operations", id, ids, "holdfast ops list");
}

/** Prints an operation; the exit code is its outcome. */
export function showOperation(context: CliContext, record: v1.IOperationRecord): number {
  const { items: count, ...operation } = toRow(record);
  printListing(context, {
    kind: "Operation",
    columns: ITEM_COLUMNS,
    rows: itemRows(record.items),
    extra: { ...operation, sessions: count },
  });
  const { state, moved } = operation;
  if (state === "running") {
    context.say(
      `operation ${record.id} is under way, ${moved} of ${count} moved. Next: holdfast ops wait ${record.id}`,
    );
    return EXIT.ok;
  }
  context.say(`operation ${record.id} is ${state}${operation.error === "" ? "" : `: ${operation.error}`}`);
  if (state !== "done" && moved < count) context.say(whatIsLeft(record, count - moved, count));
  return state === "done" ? EXIT.ok : EXIT.failure;
}

/** Of an operation that ended before its end: a drain goes on with the same command, which plans anew. */
function whatIsLeft(record: v1.IOperationRecord, left: number, count: number): string {
  const from = [...new Set((record.items ?? []).map((item) => item.from ?? ""))].join(", ");
  const next =
    record.kind === "drain"
      ? `holdfast drain ${from} goes on with what is left there, holdfast uncordon ${from} gives it up`
      : "holdfast sessions shows where they are; the same transfer again moves what is left";
  return `${left} of ${count} were not moved from ${from}. Next: ${next}`;
}

/** Waits for the end of an operation and prints it. Ctrl-C ends the waiting, not the operation. */
export async function waitForOperation(context: CliContext, id: string): Promise<number> {
  const deadline = Date.now() + context.fileTimeoutMs;
  let endedAt: number | null = null;
  const interrupted = () => {
    context.say(`operation ${id} goes on. Next: holdfast ops wait ${id}`);
    process.exit(130);
  };
  process.once("SIGINT", interrupted);
  try {
    for (;;) {
      const record = await findOperation(context, id);
      if (record.state !== "running") {
        endedAt ??= Date.now();
        const heard = (record.items ?? []).every((item) => item.state !== "moved" || isMeasured(item));
        if (heard || Date.now() - endedAt >= MEASURED_WITHIN_MS) return showOperation(context, record);
      } else if (Date.now() >= deadline) {
        throw new HoldfastError(ErrorCode.DEADLINE_EXCEEDED, `operation ${id} is still under way`, {
          next: `holdfast ops wait ${id}, or holdfast ops cancel ${id}`,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    process.removeListener("SIGINT", interrupted);
  }
}
