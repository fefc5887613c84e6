import type { v1 } from "../../wire/index.js";
import { NOTABLE_KINDS } from "../../wire/notable-events.js";
import type { CliContext } from "../context.js";
import { Follower } from "../events/follow.js";
import { type EventRow, page, unreachable } from "../events/merge.js";
import { askAll, type Told } from "../events/sources.js";
import { EXIT } from "../exit-codes.js";
import { duration, num } from "../format.js";
import { printListing, SCHEMA_VERSION, type Column } from "../output.js";

/** Options of `holdfast events`. */
export interface EventOptions {
  readonly since?: number;
  readonly follow?: boolean;
  /** Every kind, the opens and closes of clients too. */
  readonly all?: boolean;
  readonly kinds: readonly string[];
  readonly limit: number;
}

/** `nowMs`: the cluster's time of the answer; cluster time counts from the cluster's beginning, so "ago" says more. */
const columns = (nowMs: number): readonly Column<EventRow>[] => [
  { title: "REV", right: true, show: (row) => (row.revision === null ? "-" : String(row.revision)) },
  { title: "WHEN", right: true, show: (row) => ago(row, nowMs) },
  { title: "KIND", show: (row) => row.kind },
  { title: "NODE", show: (row) => row.node },
  { title: "SESSION", right: true, show: (row) => row.session },
  { title: "HANDLE", wide: true, show: (row) => row.handle },
  { title: "CLUSTER TIME", right: true, wide: true, show: (row) => String(row.clusterTimeMs) },
  { title: "TEXT", show: (row) => row.text },
];

function ago(row: EventRow, nowMs: number): string {
  return row.clusterTimeMs === 0 ? "-" : `${duration(Math.max(0, nowMs - row.clusterTimeMs))} ago`;
}

/**
 * `holdfast events`: what happened at all nodes, in the order of revisions; ends with the token from which a later call
 * goes on. A node that cannot be asked is a row with its error.
 */
export async function events(context: CliContext, options: EventOptions): Promise<number> {
  const from = options.since ?? 0;
  const kinds = options.kinds.length > 0 || options.all === true ? options.kinds : NOTABLE_KINDS;
  const request: v1.IListEventsRequest = { fromRevision: from, kinds: [...kinds], limit: options.limit };
  const told = await askAll(context.endpoints, request, context.timeoutMs);
  const answered = told.flatMap((each) => ("kept" in each ? [each.kept] : []));
  if (answered.length === 0) throw told.flatMap((each) => ("error" in each ? [each.error] : []))[0];
  const { rows, resume, cut } = page(answered, from, options.limit);
  const missing = told.flatMap((each) =>
    "error" in each ? [unreachable(each.name || each.address, each.error.message)] : [],
  );
  if (options.follow === true) return follow(context, request, told, [...rows, ...missing], resume);
  const compacted = cut || answered.some((each) => each.compacted);
  const nowMs = Math.max(...answered.map((each) => each.clusterTimeMs));
  printListing(context, {
    kind: "EventList",
    columns: columns(nowMs),
    rows: [...rows, ...missing],
    extra: { resumeRevision: resume, compacted, clusterTimeMs: nowMs },
    empty: nothing(options.kinds),
  });
  if (compacted) context.say("older events than these are no longer kept");
  if (kinds === NOTABLE_KINDS) context.say("opens, closes and the like are left out; --all shows every kind");
  context.say(`go on from here with --since ${resume}`);
  return EXIT.ok;
}

function nothing(kinds: readonly string[]): string {
  if (kinds.length === 0) return "no events are kept for that range";
  return `no events of kind ${kinds.join(" or ")} are kept for that range. Next: holdfast events --all shows which kinds there are`;
}

function follow(
  context: CliContext,
  request: v1.IListEventsRequest,
  told: readonly Told[],
  rows: readonly EventRow[],
  resume: number,
): Promise<number> {
  const follower = new Follower(request, (row) => printOne(context, row));
  context.say("following; Ctrl-C ends it");
  for (const row of rows) follower.offer(row);
  // Who was silent may have noted something meanwhile under a revision that the others had passed.
  const unheard = request.fromRevision ? num(request.fromRevision) : resume;
  for (const each of told) follower.follow(each, "kept" in each ? each.kept.resume : unheard);
  return new Promise((resolve) => {
    process.once("SIGINT", () => {
      context.say(`go on from here with --since ${follower.stop()}`);
      resolve(EXIT.ok);
    });
  });
}

/** One event as one line: JSON documents one a line, so that a pipe can read them as they come. */
function printOne(context: CliContext, row: EventRow): void {
  if (context.output === "json" || context.output === "yaml") {
    context.out(JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...row }));
    return;
  }
  const where = [row.node, row.session === "" ? "" : `session ${row.session}`]
    .filter((each) => each !== "")
    .join(" ");
  context.out(
    `${row.revision ?? "-"}  ${row.kind.padEnd(18)}  ${where}${where === "" ? "" : "  "}${row.text}`,
  );
}
