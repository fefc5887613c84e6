import type { StateView } from "../state/index.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";

/**
 * Answers a query from the local state, which is as fresh as `revision` says. The answer belongs to the asker: nothing in
 * it changes when the state does. A file node beside its coordinator gets it without a wire in between, and keeps sessions
 * and effects from it to compare later events with.
 */
export function answerQuery(query: v1.IStateQuery, state: StateView, revision: number): v1.IStateAnswer {
  const answer = liveAnswer(query, state, revision);
  if (answer.sessions) answer.sessions = copies(answer.sessions);
  if (answer.effects) answer.effects = copies(answer.effects);
  if (answer.pending) answer.pending = copies(answer.pending);
  if (answer.nodes) answer.nodes = copies(answer.nodes);
  if (answer.members) answer.members = copies(answer.members);
  if (answer.operations) answer.operations = copies(answer.operations);
  if (answer.cluster) answer.cluster = { ...answer.cluster };
  return answer;
}

function copies<T extends object>(records: readonly T[]): T[] {
  return records.map((record) => ({ ...record }));
}

// Small records are the state's own.
function liveAnswer(query: v1.IStateQuery, state: StateView, revision: number): v1.IStateAnswer {
  if (query.sessionId) return sessionAnswer(state, Number(query.sessionId), revision);
  if (query.handleId && query.handleId.length > 0) return handleAnswer(state, query.handleId, revision);
  if (query.key) return keyAnswer(state, query.key, revision);
  if (query.file) return fileAnswer(state, query.file, revision);
  if (query.nodes) return { revision, nodes: [...state.nodes()], members: [...state.members()] };
  if (query.owned) return ownedAnswer(state, query.owned, revision);
  if (query.slot) return slotAnswer(state, query.slot, revision);
  if (query.effects) return { revision, effects: [...state.effects()] };
  if (query.cluster) return { revision, cluster: state.cluster(), members: [...state.members()] };
  if (query.operation) return operationAnswer(state, query.operation, revision);
  return { revision, error: errorDetail(ErrorCode.INVALID_ARGUMENT, "the query has no body") };
}

function operationAnswer(state: StateView, id: string, revision: number): v1.IStateAnswer {
  for (const operation of state.operations())
    if (operation.id === id) return { revision, operations: [operation] };
  return { revision, error: errorDetail(ErrorCode.UNKNOWN_OPERATION, `there is no operation ${id}`) };
}

/** All that a new owner of the session has to know. */
function sessionAnswer(state: StateView, id: number, revision: number): v1.IStateAnswer {
  const session = state.session(id);
  if (session === undefined)
    return { revision, error: errorDetail(ErrorCode.UNKNOWN_SESSION, `there is no session ${id}`) };
  const handles = [...state.handlesOfSession(id)];
  const own = new Set(handles.map((handle) => hex(handle.id)));
  const leases = new Map<string, v1.ILeaseRecord>();
  const files = new Map<string, v1.IHandleRecord>();
  for (const handle of handles) {
    const { clientGuid, leaseKey } = handle;
    if (clientGuid && leaseKey && leaseKey.length > 0) {
      const lease = state.lease(clientGuid, leaseKey);
      if (lease !== undefined) leases.set(hex(leaseKey), lease);
    }
    files.set(`${handle.share}\0${handle.fileId || handle.path}`, handle);
  }
  const locks: v1.IFileLock[] = [];
  for (const { share, fileId, path } of files.values())
    for (const lock of [
      ...fileLocks(state, share ?? "", fileId || path || ""),
      // Announced ones too: their grant does not wait for a node that begins to serve the file only now.
      ...state.preparingLocks(share ?? "", fileId ?? ""),
    ])
      if (!own.has(hex(lock.handleId))) locks.push(lock);
  return {
    revision,
    sessions: [session],
    handles,
    leases: [...leases.values()],
    effects: [...state.effects()].filter((effect) => Number(effect.sessionId ?? 0) === id),
    pending: [...state.pending()].filter((pending) => Number(pending.sessionId ?? 0) === id),
    locks,
  };
}

function handleAnswer(state: StateView, id: Uint8Array, revision: number): v1.IStateAnswer {
  const handle = state.handle(id);
  if (handle === undefined)
    return { revision, error: errorDetail(ErrorCode.UNKNOWN_HANDLE, `there is no handle ${hex(id)}`) };
  const session = state.session(Number(handle.sessionId ?? 0));
  return { revision, handles: [handle], sessions: session === undefined ? [] : [session] };
}

function keyAnswer(state: StateView, key: string, revision: number): v1.IStateAnswer {
  const record = state.key(key);
  if (record !== undefined)
    return { revision, keys: [record], effects: [...state.effects()].filter((effect) => effect.key === key) };
  return { revision, error: errorDetail(ErrorCode.UNKNOWN_KEY, `there is no key ${key}`) };
}

function fileAnswer(state: StateView, file: v1.IFileQuery, revision: number): v1.IStateAnswer {
  const share = file.share ?? "";
  const path = file.path ?? "";
  return { revision, handles: [...state.handlesOfFile(share, path)], locks: fileLocks(state, share, path) };
}

function fileLocks(state: StateView, share: string, file: string): v1.IFileLock[] {
  const locks: v1.IFileLock[] = [];
  for (const handle of state.handlesOfFile(share, file))
    for (const { offset, length, exclusive } of handle.locks ?? [])
      locks.push({
        handleId: handle.id ?? NO_BYTES,
        offset: offset ?? 0,
        length: length ?? 0,
        exclusive: exclusive ?? false,
      });
  return locks;
}

/** What a node incarnation has to look after, the questions to it that it has not answered among it. */
function ownedAnswer(state: StateView, owned: v1.IOwnedQuery, revision: number): v1.IStateAnswer {
  const node = owned.node ?? "";
  const incarnation = Number(owned.incarnation ?? 0);
  const of = (record: { ownerIncarnation?: number | null }): boolean =>
    Number(record.ownerIncarnation ?? 0) === incarnation;
  return {
    revision,
    sessions: [...state.sessionsOf(node)].filter(of),
    effects: [...state.effects()].filter((effect) => effect.owner === node && of(effect)),
    keys: [...state.keysOf(node)].filter(of),
    pending: [...state.pending()].filter((pending) =>
      [...(pending.preparing ?? []), ...(pending.ending ?? [])].some(
        (asked) => asked.node === node && Number(asked.incarnation ?? 0) === incarnation,
      ),
    ),
  };
}

const NO_BYTES = new Uint8Array(0);

function hex(bytes: Uint8Array | null | undefined): string {
  return bytes ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex") : "";
}

/** What is known of the latest call in a slot of a session; nothing when the slot was never used. */
function slotAnswer(state: StateView, query: v1.ISlotQuery, revision: number): v1.IStateAnswer {
  const slot = state.slot(Number(query.sessionId ?? 0), query.slot ?? 0);
  return { revision, slots: slot === undefined ? [] : [slot] };
}
