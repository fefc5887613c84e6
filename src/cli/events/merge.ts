import type { v1 } from "../../wire/index.js";
import { hex, num } from "../format.js";

/** One event as `holdfast events` shows it; keys are those of the JSON. */
export interface EventRow {
  /** Null for a node that could not be asked. */
  readonly revision: number | null;
  readonly ordinal: number;
  readonly clusterTimeMs: number;
  readonly kind: string;
  readonly node: string;
  readonly session: string;
  readonly handle: string;
  readonly text: string;
  /** The nodes that saw it by themselves; empty for what is in the log. */
  readonly seenBy: readonly string[];
  /** Why a node could not be asked; null for an event. */
  readonly error: string | null;
}

/** The kinds that every node notes of the same thing. */
const SEEN_BY_ALL: ReadonlySet<string> = new Set(["leader-changed", "leader-lost"]);

/** The row of an event. */
export function toRow(event: v1.IEvent): EventRow {
  return {
    revision: num(event.revision),
    ordinal: event.ordinal ?? 0,
    clusterTimeMs: num(event.clusterTimeMs),
    kind: event.kind ?? "",
    node: event.node ?? "",
    session: num(event.sessionId) === 0 ? "" : String(event.sessionId),
    handle: hex(event.handleId),
    text: event.text ?? "",
    seenBy: event.seenBy ? [event.seenBy] : [],
    error: null,
  };
}

/** The row of a node that could not be asked. */
export function unreachable(node: string, error: string): EventRow {
  const none = { revision: null, ordinal: 0, clusterTimeMs: 0, session: "", handle: "", seenBy: [] };
  return { ...none, kind: "unreachable", node, text: error, error };
}

/** The same for two rows that tell of one event. */
export function keyOf(row: EventRow): string {
  if (SEEN_BY_ALL.has(row.kind)) return `${row.kind} ${row.text}`;
  // Told by a record where the event itself is not kept any more: without its place among others of its revision.
  if (row.kind === "failover") return `failover ${row.revision} ${row.text.split(":")[0]}`;
  const { revision, ordinal, kind, node, session, handle } = row;
  const local = row.seenBy.length > 0 ? `${row.clusterTimeMs} ${row.text}` : "";
  return [revision, ordinal, kind, node, session, handle, local].join(" ");
}

/**
 * What several nodes tell as one list: what is in the log once, however many tell it; what each saw by itself behind the
 * revision at which it saw it; a change of leader once, with all who saw it. In the order of revisions, then of time.
 */
export function merge(lists: readonly (readonly EventRow[])[]): EventRow[] {
  const rows = new Map<string, EventRow>();
  for (const row of lists.flat()) {
    const key = keyOf(row);
    const there = rows.get(key);
    rows.set(key, there === undefined ? row : united(there, row));
  }
  return [...rows.values()].sort(inOrder);
}

function united(a: EventRow, b: EventRow): EventRow {
  if (a.kind === "failover") return a.text.endsWith(FROM_RECORD) ? b : a;
  if (a.seenBy.length === 0) return a;
  const [first, second] = inOrder(a, b) <= 0 ? [a, b] : [b, a];
  const seenBy = [...new Set([...first.seenBy, ...second.seenBy])];
  return { ...first, seenBy, node: seenBy.toSorted().join(",") };
}

const FROM_RECORD = "(from the record)";

function inOrder(a: EventRow, b: EventRow): number {
  return (
    (a.revision ?? Infinity) - (b.revision ?? Infinity) ||
    Number(a.seenBy.length > 0) - Number(b.seenBy.length > 0) ||
    a.clusterTimeMs - b.clusterTimeMs ||
    a.ordinal - b.ordinal
  );
}

/** What one node has answered. */
export interface Kept {
  readonly rows: readonly EventRow[];
  /** From where it goes on. */
  readonly resume: number;
}

/**
 * The part that is shown, and the token behind it. Without a start the latest are wanted; with one, the first, in whole
 * revisions. The token is the earliest of all nodes': what a node that is behind has yet to tell is not passed over, and
 * may be told twice.
 */
export function page(
  kept: readonly Kept[],
  from: number,
  limit: number,
): { readonly rows: EventRow[]; readonly resume: number; readonly cut: boolean } {
  const rows = merge(kept.map((each) => each.rows));
  const resume = Math.min(...kept.map((each) => each.resume));
  if (rows.length <= limit) return { rows, resume, cut: false };
  if (from === 0) return { rows: rows.slice(-limit), resume, cut: true };
  let end = limit;
  while (end < rows.length && rows[end]?.revision === rows[end - 1]?.revision) end += 1;
  const shown = rows.slice(0, end);
  return { rows: shown, resume: Math.min(resume, (shown.at(-1)?.revision ?? 0) + 1), cut: false };
}
