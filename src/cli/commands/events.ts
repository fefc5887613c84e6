import { HoldfastError } from "../../wire/errors.js";
import { fromServiceError } from "../../wire/grpc-errors.js";
import type { ServiceError } from "@grpc/grpc-js";
import type { v1 } from "../../wire/index.js";
import { AdminEndpoint } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { hex, num } from "../format.js";
import { printListing, SCHEMA_VERSION, type Column } from "../output.js";

/** Options of `holdfast events`. */
export interface EventOptions {
  readonly since?: number;
  readonly follow?: boolean;
  readonly kinds: readonly string[];
  readonly limit: number;
}

interface EventRow {
  revision: number;
  ordinal: number;
  clusterTimeMs: number;
  kind: string;
  node: string;
  session: string;
  handle: string;
  text: string;
}

const COLUMNS: readonly Column<EventRow>[] = [
  { title: "REV", right: true, show: (row) => String(row.revision) },
  { title: "KIND", show: (row) => row.kind },
  { title: "NODE", show: (row) => row.node },
  { title: "SESSION", right: true, show: (row) => row.session },
  { title: "HANDLE", wide: true, show: (row) => row.handle },
  { title: "CLUSTER TIME", right: true, wide: true, show: (row) => String(row.clusterTimeMs) },
  { title: "TEXT", show: (row) => row.text },
];

function toRow(event: v1.IEvent): EventRow {
  return {
    revision: num(event.revision),
    ordinal: event.ordinal ?? 0,
    clusterTimeMs: num(event.clusterTimeMs),
    kind: event.kind ?? "",
    node: event.node ?? "",
    session: num(event.sessionId) === 0 ? "" : String(event.sessionId),
    handle: hex(event.handleId),
    text: event.text ?? "",
  };
}

/** `holdfast events`: what happened; ends with the token from which a later call goes on. */
export async function events(context: CliContext, options: EventOptions): Promise<number> {
  let last: HoldfastError | undefined;
  for (const address of context.endpoints) {
    try {
      await read(context, address, options);
      return EXIT.ok;
    } catch (error) {
      last = HoldfastError.from(error);
    }
  }
  throw last ?? new Error("no endpoint");
}

function read(context: CliContext, address: string, options: EventOptions): Promise<void> {
  const endpoint = new AdminEndpoint(address);
  const rows: EventRow[] = [];
  let resume = options.since ?? 0;
  let compacted = false;
  let shown = 0;
  const stream = endpoint.events({
    fromRevision: options.since ?? 0,
    follow: options.follow ?? false,
    kinds: [...options.kinds],
    limit: options.limit,
  });
  const stop = () => stream.cancel();
  process.once("SIGINT", stop);
  return new Promise<void>((resolve, reject) => {
    stream.on("data", (chunk: v1.IEventsChunk) => {
      resume = num(chunk.resumeRevision);
      compacted ||= chunk.compacted ?? false;
      const fresh = (chunk.events ?? []).map(toRow);
      if (options.follow === true) for (const row of fresh) printOne(context, row, shown++ === 0);
      else rows.push(...fresh);
    });
    stream.on("end", resolve);
    stream.on("error", (error: ServiceError) =>
      error.code === 1 ? resolve() : reject(fromServiceError(error)),
    );
  })
    .then(() => {
      if (options.follow !== true) {
        printListing(context, {
          kind: "EventList",
          columns: COLUMNS,
          rows,
          extra: { resumeRevision: resume, compacted },
          empty: "no events are kept for that range",
        });
      }
      if (compacted) context.say("older events than these are no longer kept");
      context.say(`go on from here with --since ${resume}`);
    })
    .finally(() => {
      process.removeListener("SIGINT", stop);
      endpoint.close();
    });
}

/** One event as one line: JSON documents one a line, so that a pipe can read them as they come. */
function printOne(context: CliContext, row: EventRow, first: boolean): void {
  if (context.output === "json" || context.output === "yaml") {
    context.out(JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...row }));
    return;
  }
  if (first) context.say("following; Ctrl-C ends it");
  const where = [row.node, row.session === "" ? "" : `session ${row.session}`]
    .filter((each) => each !== "")
    .join(" ");
  context.out(`${row.revision}  ${row.kind.padEnd(18)}  ${where}${where === "" ? "" : "  "}${row.text}`);
}
