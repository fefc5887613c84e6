import { v1 } from "../../wire/index.js";
import { bytesOf, EMPTY, type Id, idOf } from "../ids.js";
import { idKey, Kind } from "../keys.js";
import { invariant, Row } from "../row.js";
import { LargeMap } from "./large-map.js";
import { PathIndex } from "./path-index.js";
import type { SessionRow } from "./sessions.js";

/** A byte-range lock. Numbers as far as they are exact, bigint above 2^53-1, as on the wire. */
export interface HeldLock {
  readonly offset: number | bigint;
  readonly length: number | bigint;
  readonly exclusive: boolean;
}

/** What only few handles have: kept apart, so that the many stay small. */
export interface HandleExtras {
  appInstance: v1.IAppInstance | null;
  leaseRequest: v1.ILeaseRequest | null;
  blob: Uint8Array;
  closeResult: Uint8Array;
  closeReason: string;
  closedMs: number;
  closedNumber: number;
}

const NO_LOCKS: readonly HeldLock[] = [];
const NO_BUCKETS: readonly v1.ILockBucket[] = [];

/** Share mode bits. */
export const ShareBit = { read: 1, write: 2, delete: 4 } as const;

/** Where each of the small fields lies: lowest bit and how many values it may have, a power of two. */
const SMALL = {
  state: [0, 16],
  kind: [4, 16],
  createAction: [8, 16],
  shareBits: [12, 8],
  directory: [15, 2],
  replayEligible: [16, 2],
  deleteInitial: [17, 2],
  deleteSet: [18, 2],
} as const;

/**
 * Fields of few values, in one number: eight of their own are 56 bytes more a handle, a twentieth of all that one costs.
 * None holds what a client chose freely: a value that does not fit is a broken invariant and stops the process.
 */
abstract class SmallFields extends Row {
  private small = 0;

  private get(field: keyof typeof SMALL): number {
    const [at, values] = SMALL[field];
    return (this.small >>> at) & (values - 1);
  }

  private put(field: keyof typeof SMALL, value: number): void {
    const [at, values] = SMALL[field];
    invariant(value >= 0 && value < values, `the ${field} of a handle is ${value}`);
    this.small = (this.small & ~((values - 1) << at)) | (value << at);
  }

  get state(): v1.HandleState {
    return this.get("state");
  }
  set state(state: v1.HandleState) {
    this.put("state", state);
  }

  get kind(): v1.HandleKind {
    return this.get("kind");
  }
  set kind(kind: v1.HandleKind) {
    this.put("kind", kind);
  }

  get createAction(): v1.CreateAction {
    return this.get("createAction");
  }
  set createAction(action: v1.CreateAction) {
    this.put("createAction", action);
  }

  /** Share mode, as `ShareBit`. */
  get shareBits(): number {
    return this.get("shareBits");
  }
  set shareBits(bits: number) {
    this.put("shareBits", bits);
  }

  get directory(): boolean {
    return this.get("directory") !== 0;
  }
  set directory(directory: boolean) {
    this.put("directory", directory ? 1 : 0);
  }

  get replayEligible(): boolean {
    return this.get("replayEligible") !== 0;
  }
  set replayEligible(eligible: boolean) {
    this.put("replayEligible", eligible ? 1 : 0);
  }

  get deleteInitial(): boolean {
    return this.get("deleteInitial") !== 0;
  }
  set deleteInitial(marked: boolean) {
    this.put("deleteInitial", marked ? 1 : 0);
  }

  get deleteSet(): boolean {
    return this.get("deleteSet") !== 0;
  }
  set deleteSet(marked: boolean) {
    this.put("deleteSet", marked ? 1 : 0);
  }
}

/**
 * A handle. Small by design: ids are strings, rare fields sit in `extras`, empty lists are shared. Whether it is
 * connected follows from its session (`isConnected`), so that a takeover of a million handles writes none of them.
 */
export class HandleRow extends SmallFields {
  volatileId = 0;
  createGuid: Id = "";
  client: Id = "";
  principal = "";
  share = "";
  path = "";
  fileId = "";
  grantedAccess = 0;
  disposition: v1.Disposition = 0;
  timeoutMs = 0;
  leaseKey: Id = "";
  leaseVersion = 0;
  channelSequence = 0;
  openedMs = 0;
  effectId = 0;
  pendingId = 0;
  changedRevision = 0;
  createOptions = 0;
  fileAttributes = 0;
  connection = 0;
  locks: readonly HeldLock[] = NO_LOCKS;
  buckets: readonly v1.ILockBucket[] = NO_BUCKETS;
  extras: HandleExtras | null = null;
  session: SessionRow;

  constructor(
    readonly id: Id,
    session: SessionRow,
  ) {
    super();
    this.session = session;
  }

  /** Its rare fields, made when they are needed first. */
  more(): HandleExtras {
    this.extras ??= {
      appInstance: null,
      leaseRequest: null,
      blob: EMPTY,
      closeResult: EMPTY,
      closeReason: "",
      closedMs: 0,
      closedNumber: 0,
    };
    return this.extras;
  }

  /** Open for everybody else to reckon with: share modes, locks and leases count. */
  get isOpen(): boolean {
    return this.state === v1.HandleState.HANDLE_OPEN;
  }

  /** Open or about to be: findable by path and file. */
  get isInPlace(): boolean {
    return this.state === v1.HandleState.HANDLE_OPEN || this.state === v1.HandleState.HANDLE_PENDING;
  }

  /** Others have to reckon with it: open, or its create is being performed. A parked one has nothing yet. */
  get holds(): boolean {
    return this.isOpen || (this.state === v1.HandleState.HANDLE_PENDING && this.effectId !== 0);
  }

  /** Protected against others while its client is away. */
  get isProtected(): boolean {
    return this.kind === v1.HandleKind.PERSISTENT || this.kind === v1.HandleKind.RESILIENT;
  }

  /** Its client has it in hand: opened or resumed under its session's present connection. */
  get isConnected(): boolean {
    const session = this.session.r;
    return session.connected && this.connection === session.connection && session.replacedBy === 0;
  }

  /** Node that serves it: its session's owner. */
  get ownerNode(): string {
    return this.session.r.owner;
  }

  diskKey(): Uint8Array {
    return idKey(Kind.handle, this.id);
  }

  encode(): Uint8Array {
    return v1.HandleRecord.encode(this.toRecord(false)).finish();
  }

  /** The record for readers; `derived` adds what follows from the session. */
  toRecord(derived = true): v1.IHandleRecord {
    const extras = this.extras;
    const record: v1.IHandleRecord = {
      id: bytesOf(this.id),
      volatileId: this.volatileId,
      createGuid: bytesOf(this.createGuid),
      sessionId: this.session.r.id,
      clientGuid: bytesOf(this.client),
      principal: this.principal,
      share: this.share,
      path: this.path,
      fileId: this.fileId,
      directory: this.directory,
      grantedAccess: this.grantedAccess,
      shareMode: {
        read: (this.shareBits & ShareBit.read) !== 0,
        write: (this.shareBits & ShareBit.write) !== 0,
        delete: (this.shareBits & ShareBit.delete) !== 0,
      },
      disposition: this.disposition,
      createAction: this.createAction,
      state: this.state,
      kind: this.kind,
      replayEligible: this.replayEligible,
      deleteOnCloseInitial: this.deleteInitial,
      deleteOnCloseSet: this.deleteSet,
      timeoutMs: this.timeoutMs,
      locks: this.locks as v1.ILockRecord[],
      lockBuckets: this.buckets as v1.ILockBucket[],
      leaseKey: bytesOf(this.leaseKey),
      leaseVersion: this.leaseVersion,
      channelSequence: this.channelSequence,
      openedMs: this.openedMs,
      effectId: this.effectId,
      pendingId: this.pendingId,
      changedRevision: this.changedRevision,
      createOptions: this.createOptions,
      fileAttributes: this.fileAttributes,
      formatVersion: 1,
      connection: this.connection,
    };
    if (extras !== null) {
      if (extras.appInstance !== null) record.appInstance = extras.appInstance;
      if (extras.leaseRequest !== null) record.leaseRequest = extras.leaseRequest;
      record.blob = extras.blob;
      record.closeResult = extras.closeResult;
      record.closeReason = extras.closeReason;
      record.closedMs = extras.closedMs;
      record.closedNumber = extras.closedNumber;
    }
    if (derived) {
      record.connected = this.isConnected;
      record.deadlineMs = this.deadlineMs();
    }
    return record;
  }

  /** Cluster time before which a disconnected handle must not expire; zero: connected, or no handle any more. */
  deadlineMs(): number {
    if (this.state === v1.HandleState.HANDLE_CLOSED || this.isConnected) return 0;
    const since = this.session.disconnectedMs(this.connection);
    return since === 0 ? 0 : since + this.timeoutMs;
  }

  /** What of a record on disk no handle can be; null: nothing. A row would take it for a broken invariant of its own. */
  static misfit(record: v1.IHandleRecord): string | null {
    for (const field of ["state", "kind", "createAction"] as const) {
      const value = record[field] ?? 0;
      if (value < 0 || value >= SMALL[field][1]) return `${field} ${value}`;
    }
    return null;
  }

  /** Fills a row from its record on disk. */
  static fromRecord(record: v1.IHandleRecord, session: SessionRow): HandleRow {
    const row = new HandleRow(idOf(record.id), session);
    row.volatileId = record.volatileId ?? 0;
    row.createGuid = idOf(record.createGuid);
    row.client = idOf(record.clientGuid);
    row.principal = record.principal ?? "";
    row.share = record.share ?? "";
    row.path = record.path ?? "";
    row.fileId = record.fileId ?? "";
    row.directory = record.directory ?? false;
    row.grantedAccess = record.grantedAccess ?? 0;
    row.shareBits = shareBits(record.shareMode);
    row.disposition = record.disposition ?? 0;
    row.createAction = record.createAction ?? 0;
    row.state = record.state ?? 0;
    row.kind = record.kind ?? 0;
    row.replayEligible = record.replayEligible ?? false;
    row.deleteInitial = record.deleteOnCloseInitial ?? false;
    row.deleteSet = record.deleteOnCloseSet ?? false;
    row.timeoutMs = record.timeoutMs ?? 0;
    row.leaseKey = idOf(record.leaseKey);
    row.leaseVersion = record.leaseVersion ?? 0;
    row.channelSequence = record.channelSequence ?? 0;
    row.openedMs = record.openedMs ?? 0;
    row.effectId = record.effectId ?? 0;
    row.pendingId = record.pendingId ?? 0;
    row.changedRevision = record.changedRevision ?? 0;
    row.createOptions = record.createOptions ?? 0;
    row.fileAttributes = record.fileAttributes ?? 0;
    row.connection = record.connection ?? 0;
    if (record.locks?.length) row.locks = record.locks.map(heldLock);
    if (record.lockBuckets?.length) row.buckets = record.lockBuckets;
    fillExtras(row, record);
    return row;
  }
}

function fillExtras(row: HandleRow, record: v1.IHandleRecord): void {
  if (record.appInstance) row.more().appInstance = record.appInstance;
  if (record.leaseRequest) row.more().leaseRequest = record.leaseRequest;
  if (record.blob?.length) row.more().blob = new Uint8Array(record.blob);
  if (record.closeResult?.length) row.more().closeResult = new Uint8Array(record.closeResult);
  if (record.closeReason) row.more().closeReason = record.closeReason;
  if (record.closedNumber) {
    row.more().closedMs = record.closedMs ?? 0;
    row.more().closedNumber = record.closedNumber;
  }
}

/** A lock as it is kept, from its wire form. */
export function heldLock(lock: v1.ILockRecord | v1.ILockElement): HeldLock {
  return { offset: lock.offset ?? 0, length: lock.length ?? 0, exclusive: lock.exclusive ?? false };
}

/** Share mode as bits. */
export function shareBits(mode: v1.IShareMode | null | undefined): number {
  return (
    (mode?.read ? ShareBit.read : 0) |
    (mode?.write ? ShareBit.write : 0) |
    (mode?.delete ? ShareBit.delete : 0)
  );
}

/** All handles, findable by id, create guid, path and file. The file and path indexes hold no tombstones. */
export class HandleTable {
  readonly byId = new LargeMap<HandleRow>();
  readonly byGuid = new LargeMap<HandleRow | HandleRow[]>();
  readonly paths = new PathIndex<HandleRow>();
  readonly #files = new Map<string, LargeMap<HandleRow | HandleRow[]>>();
  lockCount = 0;
  /** Tombstones among them. */
  closedCount = 0;
  /** One copy of each share's name: every decoded record and command brings its own. */
  readonly #shareNames = new Map<string, string>();

  /** Puts a new or loaded row into every index that it belongs to. */
  add(row: HandleRow): void {
    row.share = this.#sharedName(row.share);
    this.byId.set(row.id, row);
    if (row.createGuid !== "") addTo(this.byGuid, row.createGuid, row);
    row.session.handles.add(row);
    this.lockCount += row.locks.length;
    if (row.isInPlace) this.place(row);
  }

  #sharedName(share: string): string {
    const known = this.#shareNames.get(share);
    if (known !== undefined) return known;
    this.#shareNames.set(share, share);
    return share;
  }

  /** Enters an open or pending handle under its path and its file. */
  place(row: HandleRow): void {
    if (row.kind !== v1.HandleKind.PERSISTENT) row.session.fragile++;
    row.session.handleTimeoutMinMs = Math.min(row.session.handleTimeoutMinMs, row.timeoutMs);
    this.paths.add(row.share, row.path, row);
    if (row.fileId !== "") this.indexFile(row);
  }

  /** Enters a handle under its file, once that is known. */
  indexFile(row: HandleRow): void {
    let files = this.#files.get(row.share);
    if (files === undefined) this.#files.set(row.share, (files = new LargeMap()));
    addTo(files, row.fileId, row);
  }

  /** Takes a closed handle out of the way of others; it may stay as a tombstone. */
  displace(row: HandleRow): void {
    this.paths.remove(row.share, row.path, row);
    const files = this.#files.get(row.share);
    if (files !== undefined && row.fileId !== "") {
      removeFrom(files, row.fileId, row);
      if (files.size === 0) this.#files.delete(row.share);
    }
    if (row.kind !== v1.HandleKind.PERSISTENT) row.session.fragile--;
  }

  /** Files a closed handle among its session's tombstones. */
  bury(row: HandleRow): void {
    const { tombstones } = row.session;
    const before = tombstones.size;
    this.closedCount += tombstones.add(row).size - before;
  }

  /** Forgets a row altogether. The caller has displaced it if it was in place. */
  remove(row: HandleRow): void {
    this.byId.delete(row.id);
    if (row.createGuid !== "") removeFrom(this.byGuid, row.createGuid, row);
    row.session.handles.delete(row);
    if (row.session.tombstones.delete(row)) this.closedCount--;
    this.lockCount -= row.locks.length;
  }

  /** A handle's file is known, or another one than before. */
  refile(row: HandleRow, fileId: string): void {
    const files = this.#files.get(row.share);
    if (files !== undefined && row.fileId !== "") removeFrom(files, row.fileId, row);
    row.fileId = fileId;
    if (fileId !== "") this.indexFile(row);
  }

  /** A handle follows its renamed file. */
  repath(row: HandleRow, path: string): void {
    this.paths.remove(row.share, row.path, row);
    row.path = path;
    this.paths.add(row.share, row.path, row);
  }

  /** Handles in place with this file id. */
  ofFile(share: string, fileId: string): readonly HandleRow[] {
    return listOf(this.#files.get(share)?.get(fileId));
  }

  /** Handles in place on the file, whether found by id (also under another link) or by path (id not known yet). */
  onFile(share: string, path: string, fileId: string): readonly HandleRow[] {
    const byPath = this.paths.at(share, path);
    if (fileId === "") return byPath;
    const byFile = this.ofFile(share, fileId);
    if (byPath.length === 0) return byFile;
    if (byFile.length === 0) return byPath.filter((row) => row.fileId === "" || row.fileId === fileId);
    const extra = byPath.filter((row) => row.fileId === "");
    return extra.length === 0 ? byFile : [...byFile, ...extra];
  }

  withGuid(guid: Id): readonly HandleRow[] {
    return listOf(this.byGuid.get(guid));
  }
}

const NONE: readonly never[] = [];

type RowIndex<T> = Map<string, T | T[]> | LargeMap<T | T[]>;

/** Adds to an index whose entries are mostly alone: a lone row stands without an array around it. */
export function addTo<T>(index: RowIndex<T>, key: string, row: T): void {
  const map = index instanceof LargeMap ? index.at(key) : index;
  const there = map.get(key);
  if (there === undefined) map.set(key, row);
  else if (Array.isArray(there)) there.push(row);
  else map.set(key, [there, row]);
}

/** The reverse of `addTo`. Keeps the order of the others. */
export function removeFrom<T>(index: RowIndex<T>, key: string, row: T): void {
  const there = index.get(key);
  if (there === row) index.delete(key);
  else if (Array.isArray(there)) {
    const at = there.indexOf(row);
    if (at >= 0) there.splice(at, 1);
    if (there.length === 1) index.set(key, there[0] as T);
  }
}

/** The rows of an entry. */
export function listOf<T>(entry: T | T[] | undefined): readonly T[] {
  if (entry === undefined) return NONE;
  return Array.isArray(entry) ? entry : [entry];
}
