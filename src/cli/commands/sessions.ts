import type { v1 } from "../../wire/index.js";
import { askAny } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { duration, hex, num } from "../format.js";
import { printListing, type Column } from "../output.js";
import { listRequest, type ListFilters } from "./filters.js";

interface SessionRow {
  session: string;
  client: string;
  clientGuid: string;
  principal: string;
  owner: string;
  ownerIncarnation: number;
  previousOwner: string;
  epoch: number;
  state: string;
  expiresInMs: number | null;
  timeoutMs: number;
  handles: number;
  connection: number;
  changedRevision: number;
}

const SESSION_COLUMNS: readonly Column<SessionRow>[] = [
  { title: "SESSION", right: true, show: (row) => row.session },
  { title: "CLIENT", show: (row) => row.client },
  { title: "OWNER", show: (row) => row.owner },
  { title: "EPOCH", right: true, show: (row) => String(row.epoch) },
  { title: "STATE", show: (row) => row.state },
  {
    title: "EXPIRES",
    right: true,
    show: (row) => (row.expiresInMs === null ? "" : duration(row.expiresInMs)),
  },
  { title: "HANDLES", right: true, show: (row) => String(row.handles) },
  { title: "PRINCIPAL", wide: true, show: (row) => row.principal },
  { title: "GUID", wide: true, show: (row) => row.clientGuid },
  { title: "FROM", wide: true, show: (row) => row.previousOwner },
  { title: "CONNECTION", right: true, wide: true, show: (row) => String(row.connection) },
  { title: "TIMEOUT", right: true, wide: true, show: (row) => duration(row.timeoutMs) },
  { title: "REV", right: true, wide: true, show: (row) => String(row.changedRevision) },
];

/** What a session is doing, in one word. */
export function sessionState(session: v1.ISessionRecord): string {
  if ((session.frozenBy ?? "") !== "") return "frozen";
  if (session.takenOver === true) return "taken-over";
  return session.connected === true ? "connected" : "disconnected";
}

/** `holdfast sessions`. */
export async function sessions(context: CliContext, filters: ListFilters): Promise<number> {
  const rows: SessionRow[] = [];
  let revision = 0;
  for (let page = ""; ; ) {
    const reply = await askAny(
      context.endpoints,
      "ListSessions",
      { ...listRequest(context, filters), pageToken: page },
      context.timeoutMs,
    );
    revision = num(reply.revision);
    const now = num(reply.clusterTimeMs);
    (reply.sessions ?? []).forEach((session, i) => {
      rows.push({
        session: String(session.id),
        client: session.clientName ?? "",
        clientGuid: hex(session.clientGuid),
        principal: session.principal ?? "",
        owner: session.owner ?? "",
        ownerIncarnation: num(session.ownerIncarnation),
        previousOwner: session.previousOwner ?? "",
        epoch: num(session.epoch),
        state: sessionState(session),
        expiresInMs: num(session.deadlineMs) === 0 ? null : Math.max(0, num(session.deadlineMs) - now),
        timeoutMs: session.timeoutMs ?? 0,
        handles: num(reply.handleCounts?.[i]),
        connection: num(session.connection),
        changedRevision: num(session.changedRevision),
      });
    });
    page = reply.nextPageToken ?? "";
    if (page === "") break;
  }
  printListing(context, {
    kind: "SessionList",
    columns: SESSION_COLUMNS,
    rows,
    extra: { revision },
    empty: "no sessions. Next: holdfast files put FILE demo:/FILE",
  });
  return EXIT.ok;
}
