import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { v1 } from "../wire/index.js";
import { firstLookMs } from "./due.js";
import { idOf, shortHex } from "./ids.js";
import { Kind } from "./keys.js";
import type { Row } from "./row.js";
import { FORMAT_VERSION, type Store } from "./store.js";
import { HandleRow } from "./tables/handles.js";
import { LeaseRow } from "./tables/leases.js";
import {
  ClusterRow,
  clusterRecord,
  EffectRow,
  effectRecord,
  FailoverRow,
  failoverRecord,
  MemberRow,
  memberRecord,
  NameChangeRow,
  nameChangeRecord,
  NodeRow,
  nodeRecord,
  OperationRow,
  operationRecord,
  PendingRow,
  pendingRecord,
} from "./tables/records.js";
import { KeyRow } from "./tables/resume-keys.js";
import { sessionRecord, SessionRow, SlotRow } from "./tables/sessions.js";

interface Loaded {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/**
 * Takes records in, in any order. One that refers to what has come already is put in its place at once and its bytes are
 * let go: a disk gives them in the order of their kinds, and a million of them kept until the end cost more than the
 * state itself (1 KB a handle, and memory that the process did not give back). What comes too early waits.
 */
export class Loader {
  /** Stored replies and handles that came before their session. */
  readonly #early: Loaded[] = [];
  /** Handles that hold a lease; it may come after them. */
  readonly #leased: HandleRow[] = [];
  /** Sessions with closed handles, which have an order of their own. */
  readonly #withClosed = new Set<SessionRow>();
  #finishing: Iterator<void> | null = null;

  constructor(readonly store: Store) {}

  /**
   * One record as it lies on disk. Throws UNSUPPORTED_VERSION for what a newer version wrote, STORAGE_FAILED for what no
   * version writes.
   */
  take(record: Loaded): void {
    const kind = record.key[0] as Kind;
    const take = TAKERS[kind];
    if (take === undefined)
      throw unsupported(`a record of kind 0x${(kind ?? 0).toString(16)}, which this version does not know`);
    const row = take(this.store, record.value);
    if (row === null) this.#early.push(record);
    else this.#adopt(row, record);
  }

  /**
   * Links what refers to each other and derives what is not stored: at most so many steps, each of them short. True when
   * it is done.
   */
  finish(stepsMax: number): boolean {
    this.#finishing ??= this.#steps();
    for (let step = 0; step < stepsMax; step++) if (this.#finishing.next().done) return true;
    return false;
  }

  *#steps(): Generator<void, void> {
    const { store } = this;
    for (const record of this.#early) {
      const take = TAKERS[record.key[0] as Kind];
      const row = take(store, record.value);
      if (row === null) throw damaged("a stored reply or a handle belongs to a session which is not there");
      this.#adopt(row, record);
      yield;
    }
    for (const handle of this.#leased) {
      const lease = store.leases.of(handle);
      if (lease === undefined) throw damaged("a handle has a lease that is not there");
      lease.handles.add(handle);
      yield;
    }
    for (const session of this.#withClosed) {
      buryTombstones(store, session);
      yield;
    }
    yield* this.#schedule();
  }

  *#schedule(): Generator<void, void> {
    const { leases, sessions, keys, deadlines } = this.store;
    for (const lease of leases.byId.values()) {
      if (lease.handles.size === 0) throw damaged("a lease on disk has no handle");
      deadlines.schedule(lease, firstLookMs(lease));
      yield;
    }
    for (const session of sessions.byId.values()) {
      deadlines.schedule(session, firstLookMs(session));
      yield;
    }
    for (const key of keys.byName.values()) {
      deadlines.schedule(key, firstLookMs(key));
      yield;
    }
  }

  #adopt(row: Row, record: Loaded): void {
    this.store.journal.adopt(row, record.key, record.value);
    if (!(row instanceof HandleRow)) return;
    if (row.isOpen && row.leaseKey !== "") this.#leased.push(row);
    if (row.state === v1.HandleState.HANDLE_CLOSED) this.#withClosed.add(row.session);
  }
}

function buryTombstones(store: Store, session: SessionRow): void {
  const closed = [...session.handles].filter((handle) => handle.state === v1.HandleState.HANDLE_CLOSED);
  closed.sort((a, b) => (a.extras?.closedNumber ?? 0) - (b.extras?.closedNumber ?? 0));
  for (const handle of closed) store.handles.bury(handle);
}

/** Null: what the record refers to is not there yet. */
type Taker = (store: Store, value: Uint8Array) => Row | null;

/** How each kind of record comes in. A missing kind does not compile. */
const TAKERS: Record<Kind, Taker> = {
  [Kind.cluster]: loadCluster,
  [Kind.member]: (store, value) => {
    const row = new MemberRow(memberRecord(v1.MemberRecord.decode(value)));
    store.members.set(row.r.raftId, row);
    return row;
  },
  [Kind.node]: (store, value) => {
    const row = new NodeRow(nodeRecord(v1.NodeRecord.decode(value)));
    store.nodes.set(row.r.name, row);
    if (row.r.takeoverId !== 0) store.takeovers.add(row);
    return row;
  },
  [Kind.session]: loadSession,
  [Kind.slot]: loadSlot,
  [Kind.handle]: loadHandle,
  [Kind.lease]: loadLease,
  [Kind.effect]: (store, value) => {
    const row = new EffectRow(effectRecord(v1.EffectRecord.decode(value)));
    store.effects.add(row);
    return row;
  },
  [Kind.pending]: (store, value) => {
    const row = new PendingRow(pendingRecord(v1.PendingRecord.decode(value)));
    store.pending.add(row);
    return row;
  },
  [Kind.nameChange]: (store, value) => {
    const row = new NameChangeRow(nameChangeRecord(v1.NameChangeRecord.decode(value)));
    store.names.add(row);
    return row;
  },
  [Kind.resumeKey]: (store, value) => {
    const row = KeyRow.fromRecord(v1.ResumeKeyRecord.decode(value));
    store.keys.add(row);
    return row;
  },
  [Kind.operation]: (store, value) => {
    const row = new OperationRow(operationRecord(v1.OperationRecord.decode(value)));
    store.operations.set(row.r.id, row);
    return row;
  },
  [Kind.failover]: (store, value) => {
    const row = new FailoverRow(failoverRecord(v1.FailoverRecord.decode(value)));
    store.failovers.set(row.r.id, row);
    return row;
  },
};

function loadCluster(store: Store, value: Uint8Array): Row {
  const record = v1.ClusterRecord.decode(value);
  const version = record.formatVersion;
  if (version > FORMAT_VERSION) throw unsupported(`format version ${version}`);
  store.cluster = new ClusterRow(clusterRecord(record));
  return store.cluster;
}

function loadSession(store: Store, value: Uint8Array): Row {
  const row = new SessionRow(sessionRecord(v1.SessionRecord.decode(value)));
  store.sessions.add(row);
  return row;
}

function loadSlot(store: Store, value: Uint8Array): Row | null {
  const record = v1.SlotRecord.decode(value);
  const session = store.sessions.byId.get(record.sessionId);
  if (session === undefined) return null;
  const row = new SlotRow(record.sessionId, record.slot);
  row.sequence = record.sequence;
  row.digest = idOf(record.requestDigest);
  row.result = Object.hasOwn(record, "result") ? new Uint8Array(record.result) : null;
  row.underWay = record.underWay;
  if (record.takenBack.length > 0) {
    row.takenBack = record.takenBack.slice();
    row.takenBackRevision = record.takenBackRevision;
  }
  session.slots ??= new Map();
  session.slots.set(row.slot, row);
  return row;
}

function loadHandle(store: Store, value: Uint8Array): Row | null {
  const record = v1.HandleRecord.decode(value);
  if (record.formatVersion > FORMAT_VERSION)
    throw unsupported(`a handle of format version ${record.formatVersion}`);
  const session = store.sessions.byId.get(record.sessionId);
  if (session === undefined) return null;
  const misfit = HandleRow.misfit(record);
  if (misfit !== null)
    throw damaged(`handle ${shortHex(idOf(record.id))} has ${misfit}, which does not exist`);
  const row = HandleRow.fromRecord(record, session);
  shareStrings(row, session);
  store.handles.add(row);
  return row;
}

/** A million handles of one client need one copy of its name. */
function shareStrings(row: HandleRow, session: SessionRow): void {
  if (row.client === session.client) row.client = session.client;
  if (row.principal === session.r.principal) row.principal = session.r.principal;
}

function loadLease(store: Store, value: Uint8Array): Row {
  const row = new LeaseRow(v1.LeaseRecord.decode(value));
  store.leases.add(row);
  return row;
}

/** Checksums let it through, and no version of this program writes it: the state cannot be served from, here or ever. */
function damaged(what: string): HoldfastError {
  return new HoldfastError(ErrorCode.STORAGE_FAILED, `the state on disk contradicts itself: ${what}`);
}

function unsupported(what: string): HoldfastError {
  return new HoldfastError(
    ErrorCode.UNSUPPORTED_VERSION,
    `the state on disk has ${what}; this program knows ${FORMAT_VERSION}`,
    {
      next: "start a version of holdfast at least as new as the one that wrote it",
    },
  );
}
