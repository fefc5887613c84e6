import { v1 } from "../../wire/index.js";
import { askAny } from "../admin-client.js";
import type { CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { duration, hex, num } from "../format.js";
import { printListing, type Column } from "../output.js";
import { enumName, flag, listRequest, type ListFilters } from "./filters.js";

interface HandleRow {
  handle: string;
  file: string;
  share: string;
  path: string;
  fileId: string;
  owner: string;
  epoch: number;
  session: string;
  client: string;
  state: string;
  kind: string;
  access: string;
  shareMode: string;
  locks: number;
  lease: string;
  replayEligible: boolean;
  expiresInMs: number | null;
  openedForMs: number;
  changedRevision: number;
}

const HANDLE_COLUMNS: readonly Column<HandleRow>[] = [
  { title: "HANDLE", show: (row) => row.handle.slice(0, 12) },
  { title: "FILE", show: (row) => row.file },
  { title: "OWNER", show: (row) => row.owner },
  { title: "EPOCH", right: true, show: (row) => String(row.epoch) },
  { title: "STATE", show: (row) => row.state },
  { title: "CLIENT", show: (row) => row.client },
  { title: "LOCKS", right: true, show: (row) => String(row.locks) },
  { title: "KIND", show: (row) => row.kind },
  { title: "LEASE", show: (row) => row.lease },
  {
    title: "LEFT",
    right: true,
    wide: true,
    show: (row) => (row.expiresInMs === null ? "" : duration(row.expiresInMs)),
  },
  { title: "SESSION", right: true, wide: true, show: (row) => row.session },
  { title: "ACCESS", wide: true, show: (row) => row.access },
  { title: "SHARES WITH", wide: true, show: (row) => row.shareMode },
  { title: "REPLAY", wide: true, show: (row) => flag(row.replayEligible) },
  { title: "FILE ID", wide: true, show: (row) => row.fileId },
  { title: "REV", right: true, wide: true, show: (row) => String(row.changedRevision) },
];

/** `holdfast handles`. */
export async function handles(context: CliContext, filters: ListFilters): Promise<number> {
  const rows: HandleRow[] = [];
  let revision = 0;
  for (let page = ""; ; ) {
    const reply = await askAny(
      context.endpoints,
      "ListHandles",
      { ...listRequest(context, filters), pageToken: page },
      context.timeoutMs,
    );
    revision = num(reply.revision);
    const sessionOf = new Map((reply.sessions ?? []).map((session) => [num(session.id), session]));
    const leaseOf = new Map(
      (reply.leases ?? []).map((lease) => [`${hex(lease.clientGuid)}/${hex(lease.key)}`, lease]),
    );
    for (const handle of reply.handles ?? []) {
      rows.push(
        handleRow(
          handle,
          sessionOf.get(num(handle.sessionId)),
          leaseOf.get(`${hex(handle.clientGuid)}/${hex(handle.leaseKey)}`),
          num(reply.clusterTimeMs),
        ),
      );
    }
    page = reply.nextPageToken ?? "";
    if (page === "") break;
  }
  printListing(context, {
    kind: "HandleList",
    columns: HANDLE_COLUMNS,
    rows,
    extra: { revision },
    empty: "no open handles. Next: holdfast sessions",
  });
  return EXIT.ok;
}

function handleRow(
  handle: v1.IHandleRecord,
  session: v1.ISessionRecord | undefined,
  lease: v1.ILeaseRecord | undefined,
  now: number,
): HandleRow {
  const access = handle.grantedAccess ?? 0;
  const mode = handle.shareMode;
  const deadline = num(handle.deadlineMs);
  return {
    handle: hex(handle.id),
    file: `${handle.share ?? ""}:/${handle.path ?? ""}`,
    share: handle.share ?? "",
    path: handle.path ?? "",
    fileId: handle.fileId ?? "",
    owner: session?.owner ?? "",
    epoch: num(session?.epoch),
    session: String(handle.sessionId ?? ""),
    client: session?.clientName ?? "",
    state: handleState(handle, session),
    kind: enumName(v1.HandleKind, handle.kind, ""),
    access: [
      [0x1, "r"],
      [0x2, "w"],
      [0x4, "a"],
      [0x10000, "d"],
    ]
      .map(([bit, letter]) => ((access & Number(bit)) === 0 ? "-" : letter))
      .join(""),
    shareMode: `${mode?.read === true ? "r" : "-"}${mode?.write === true ? "w" : "-"}${mode?.delete === true ? "d" : "-"}`,
    locks: handle.locks?.length ?? 0,
    lease: lease === undefined ? "" : leaseText(lease),
    replayEligible: handle.replayEligible ?? false,
    expiresInMs: deadline === 0 ? null : Math.max(0, deadline - now),
    openedForMs: Math.max(0, now - num(handle.openedMs)),
    changedRevision: num(handle.changedRevision),
  };
}

/** What a handle is doing, in one word: connectedness is its session's. */
function handleState(handle: v1.IHandleRecord, session: v1.ISessionRecord | undefined): string {
  const state = enumName(v1.HandleState, handle.state, "HANDLE_");
  if (state !== "open") return state;
  if (session === undefined) return "orphaned";
  if ((session.frozenBy ?? "") !== "") return "frozen";
  if (session.takenOver === true) return "taken-over";
  return session.connected === true ? "open" : "disconnected";
}

function leaseText(lease: v1.ILeaseRecord): string {
  const bits = lease.state ?? 0;
  const letters = `${(bits & 1) === 0 ? "" : "R"}${(bits & 4) === 0 ? "" : "W"}${(bits & 2) === 0 ? "" : "H"}`;
  return lease.breaking === true ? `${letters} breaking` : letters;
}

interface LockRow {
  file: string;
  offset: string;
  length: string;
  exclusive: boolean;
  handle: string;
  session: string;
}

const LOCK_COLUMNS: readonly Column<LockRow>[] = [
  { title: "FILE", show: (row) => row.file },
  { title: "OFFSET", right: true, show: (row) => row.offset },
  { title: "LENGTH", right: true, show: (row) => row.length },
  { title: "MODE", show: (row) => (row.exclusive ? "exclusive" : "shared") },
  { title: "HANDLE", show: (row) => row.handle.slice(0, 12) },
  { title: "SESSION", right: true, show: (row) => row.session },
];

/** `holdfast locks`: byte-range locks. Offsets are text in JSON: they use all 64 bits. */
export async function locks(context: CliContext, filters: ListFilters): Promise<number> {
  const rows: LockRow[] = [];
  let revision = 0;
  for (let page = ""; ; ) {
    const reply = await askAny(
      context.endpoints,
      "ListLocks",
      { ...listRequest(context, filters), pageToken: page },
      context.timeoutMs,
    );
    revision = num(reply.revision);
    for (const handle of reply.handles ?? []) {
      for (const lock of handle.locks ?? []) {
        rows.push({
          file: `${handle.share ?? ""}:/${handle.path ?? ""}`,
          offset: String(lock.offset ?? 0),
          length: String(lock.length ?? 0),
          exclusive: lock.exclusive ?? false,
          handle: hex(handle.id),
          session: String(handle.sessionId ?? ""),
        });
      }
    }
    page = reply.nextPageToken ?? "";
    if (page === "") break;
  }
  printListing(context, {
    kind: "LockList",
    columns: LOCK_COLUMNS,
    rows,
    extra: { revision },
    empty: "no locks",
  });
  return EXIT.ok;
}
