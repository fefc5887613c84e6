import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { v1 } from "../../wire/index.js";
import { limits } from "../../wire/limits.js";
import { requireShare } from "../../coordinator/index.js";
import type { StateView } from "../../state/index.js";

/** How many sessions are looked at in one page even when none matches: a listing may not hold up the event loop. */
const SCAN_MAX = 20_000;

const CLOSED = v1.HandleState.HANDLE_CLOSED;

/** One page and where the next begins. */
interface Page<T> {
  readonly items: T[];
  readonly next: string;
}

function pageSize(request: v1.IListRecordsRequest): number {
  const asked = request.limit ?? 0;
  return asked === 0 ? limits.pageMax : Math.min(asked, limits.pageMax);
}

function tokenOf(request: v1.IListRecordsRequest): { session: number; handle: string } {
  const text = request.pageToken ?? "";
  if (text === "") return { session: 0, handle: "" };
  const match = /^(\d{1,15})(?:\.([0-9a-f]{32}))?$/.exec(text);
  if (match === null)
    throw new HoldfastError(ErrorCode.INVALID_ARGUMENT, `page token ${JSON.stringify(text)} is none of ours`);
  return { session: Number(match[1]), handle: match[2] ?? "" };
}

/** Sessions in the order of their ids, after the token. */
function sessionsAfter(state: StateView, request: v1.IListRecordsRequest, from: number): v1.ISessionRecord[] {
  const one = Number(request.filterSession ?? 0);
  if (one !== 0) {
    const session = state.session(one);
    if (session === undefined) {
      throw new HoldfastError(ErrorCode.UNKNOWN_SESSION, `there is no session ${one}`, {
        next: "holdfast sessions",
      });
    }
    return [session];
  }
  const node = request.filterNode ?? "";
  // Misspelt, it would look like a node that owns nothing.
  if (node !== "" && state.node(node) === undefined && state.sessionCountOf(node) === 0)
    throw unknownNode(state, node);
  const all = node === "" ? state.sessions() : state.sessionsOf(node);
  const chosen: v1.ISessionRecord[] = [];
  for (const session of all) if (Number(session.id ?? 0) >= from) chosen.push(session);
  return chosen.sort((a, b) => Number(a.id ?? 0) - Number(b.id ?? 0));
}

/** The file nodes, with what each owns. */
export function listNodes(state: StateView, request: v1.IListRecordsRequest): v1.IListNodesReply {
  const wanted = request.filterNode || request.id || "";
  const nodes: v1.INodeRecord[] = [];
  const extras: v1.INodeExtra[] = [];
  for (const node of state.nodes()) {
    const name = node.name ?? "";
    if (wanted !== "" && name !== wanted) continue;
    nodes.push(node);
    let sessions = 0;
    let handles = 0;
    for (const session of state.sessionsOf(name)) {
      sessions += 1;
      for (const handle of state.handlesOfSession(Number(session.id ?? 0)))
        if (handle.state !== CLOSED) handles += 1;
    }
    let keys = 0;
    for (const _ of state.keysOf(name)) keys += 1;
    extras.push({ name, sessions, handles, keys });
  }
  if (wanted !== "" && nodes.length === 0) throw unknownNode(state, wanted);
  return { nodes, extras };
}

function unknownNode(state: StateView, name: string): HoldfastError {
  const known = [...state.nodes()]
    .map((node) => node.name ?? "")
    .sort()
    .join(", ");
  return new HoldfastError(ErrorCode.UNKNOWN_NODE, `there is no node ${name}; known are ${known || "none"}`, {
    next: "holdfast nodes",
  });
}

/** Sessions, page by page, with the number of their open handles. */
export function listSessions(state: StateView, request: v1.IListRecordsRequest): v1.IListSessionsReply {
  const size = pageSize(request);
  const sessions: v1.ISessionRecord[] = [];
  const handleCounts: number[] = [];
  let next = "";
  for (const session of sessionsAfter(state, request, tokenOf(request).session)) {
    if (sessions.length === size) {
      next = String(session.id);
      break;
    }
    sessions.push(withoutSecret(session));
    let count = 0;
    for (const handle of state.handlesOfSession(Number(session.id ?? 0)))
      if (handle.state !== CLOSED) count += 1;
    handleCounts.push(count);
  }
  return { sessions, handleCounts, nextPageToken: next };
}

/** The resume token is the client's secret: whoever holds it is the client. */
function withoutSecret(session: v1.ISessionRecord): v1.ISessionRecord {
  return { ...session, resumeToken: new Uint8Array(0) };
}

/** Handles by session and id, page by page, with the sessions and leases that they belong to. */
export function listHandles(state: StateView, request: v1.IListRecordsRequest): v1.IListHandlesReply {
  const page = handlePage(
    state,
    request,
    (handle) => request.includeClosed === true || handle.state !== CLOSED,
  );
  const sessions = new Map<number, v1.ISessionRecord>();
  const leases: v1.ILeaseRecord[] = [];
  for (const handle of page.items) {
    const id = Number(handle.sessionId ?? 0);
    const session = state.session(id);
    if (session !== undefined) sessions.set(id, withoutSecret(session));
    if (handle.leaseKey?.length) {
      const lease = state.lease(handle.clientGuid ?? new Uint8Array(0), handle.leaseKey);
      if (lease !== undefined && !leases.includes(lease)) leases.push(lease);
    }
  }
  return { handles: page.items, sessions: [...sessions.values()], leases, nextPageToken: page.next };
}

/** Handles that hold byte-range locks, page by page. */
export function listLocks(state: StateView, request: v1.IListRecordsRequest): v1.IListLocksReply {
  const page = handlePage(
    state,
    request,
    (handle) => handle.state !== CLOSED && (handle.locks?.length ?? 0) > 0,
  );
  return { handles: page.items, nextPageToken: page.next };
}

function handlePage(
  state: StateView,
  request: v1.IListRecordsRequest,
  wanted: (handle: v1.IHandleRecord) => boolean,
): Page<v1.IHandleRecord> {
  const size = pageSize(request);
  const token = tokenOf(request);
  const items: v1.IHandleRecord[] = [];
  let scanned = 0;
  for (const session of sessionsAfter(state, request, token.session)) {
    const id = Number(session.id ?? 0);
    if (scanned >= SCAN_MAX) return { items, next: String(id) };
    const after = id === token.session ? token.handle : "";
    const own = [...state.handlesOfSession(id)]
      .filter((handle) => wanted(handle) && matches(handle, request))
      .map((handle) => [Buffer.from(handle.id ?? []).toString("hex"), handle] as const)
      .filter(([hex]) => hex > after)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    scanned += 1 + own.length;
    for (const [, handle] of own) {
      if (items.length === size) {
        const last = items.at(-1);
        const hex = Buffer.from(last?.id ?? []).toString("hex");
        // Within this session, or at its beginning when the last one belongs to the session before.
        return { items, next: Number(last?.sessionId ?? 0) === id ? `${id}.${hex}` : String(id) };
      }
      items.push(handle);
    }
  }
  if (items.length === 0 && request.filterShare) requireShare(state, request.filterShare);
  return { items, next: "" };
}

function matches(handle: v1.IHandleRecord, request: v1.IListRecordsRequest): boolean {
  if (request.filterShare && handle.share !== request.filterShare) return false;
  if (request.filterPath && handle.path !== request.filterPath.replace(/^\/+/, "")) return false;
  return request.id
    ? Buffer.from(handle.id ?? [])
        .toString("hex")
        .startsWith(request.id)
    : true;
}

/** Failover records, oldest first; one when an id is given. */
export function listFailovers(state: StateView, request: v1.IListRecordsRequest): v1.IListFailoversReply {
  const all = [...state.failovers()].sort((a, b) => Number(a.id ?? 0) - Number(b.id ?? 0));
  if (!request.id) return { failovers: all.slice(-limits.pageMax) };
  const one = all.filter((record) => String(record.id) === request.id);
  if (one.length === 0) {
    throw new HoldfastError(ErrorCode.UNKNOWN_FAILOVER, `there is no failover ${request.id}`, {
      next: "holdfast failovers",
    });
  }
  return { failovers: one };
}

/** Operations, oldest first; those whose id begins with `id` when one is given. */
export function listOperations(state: StateView, request: v1.IListRecordsRequest): v1.IListOperationsReply {
  const all = [...state.operations()].sort((a, b) => Number(a.begunMs ?? 0) - Number(b.begunMs ?? 0));
  if (!request.id) return { operations: all.slice(-limits.pageMax) };
  const wanted = request.id;
  const some = all.filter((record) => record.id === wanted || (record.id ?? "").startsWith(wanted));
  if (some.length === 0) {
    throw new HoldfastError(ErrorCode.UNKNOWN_OPERATION, `there is no operation ${wanted}`, {
      next: "holdfast ops list",
    });
  }
  return { operations: some };
}
