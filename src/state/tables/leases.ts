import { v1 } from "../../wire/index.js";
import { bytesOf, type Id, idOf } from "../ids.js";
import { idKey, Kind } from "../keys.js";
import { type Full, maker } from "../record.js";
import { Row } from "../row.js";
import { addTo, type HandleRow, listOf, removeFrom } from "./handles.js";
import { LargeMap } from "./large-map.js";
import { PathIndex } from "./path-index.js";

/** A complete lease record. */
export type LeaseRecord = Full<v1.ILeaseRecord>;
const leaseRecord = maker<v1.ILeaseRecord>(v1.LeaseRecord);

/** A lease: caching rights that all handles of one client with one key share, tied to one file. */
export class LeaseRow extends Row {
  readonly client: Id;
  readonly key: Id;
  /** Handles in place that hold it. */
  readonly handles = new Set<HandleRow>();
  readonly r: LeaseRecord;
  scheduledMs = Number.POSITIVE_INFINITY;

  constructor(record: v1.ILeaseRecord) {
    super();
    this.r = leaseRecord(record);
    this.client = idOf(record.clientGuid);
    this.key = idOf(record.key);
  }

  /** Its name in the table: client and key. */
  get id(): Id {
    return this.client + this.key;
  }

  diskKey(): Uint8Array {
    return idKey(Kind.lease, this.id);
  }

  encode(): Uint8Array {
    return v1.LeaseRecord.encode(this.r).finish();
  }

  /** Handles by id: answers are stored, and after a load the set has another order. */
  toRecord(): v1.ILeaseRecord {
    const ids = [...this.handles].map((handle) => handle.id);
    return { ...this.r, handles: (ids.length < 2 ? ids : ids.sort()).map(bytesOf) };
  }

  /** Somebody who can be told of a break: the session of a connected handle, the lowest id for sameness everywhere. */
  reachable(): HandleRow | null {
    let best: HandleRow | null = null;
    for (const handle of this.handles) {
      if (handle.isConnected && (best === null || handle.id < best.id)) best = handle;
    }
    return best;
  }
}

/** All leases, findable by client and key, by file and by path. */
export class LeaseTable {
  readonly byId = new LargeMap<LeaseRow>();
  readonly paths = new PathIndex<LeaseRow>();
  readonly #files = new LargeMap<LeaseRow | LeaseRow[]>();

  add(row: LeaseRow): void {
    this.byId.set(row.id, row);
    addTo(this.#files, fileKey(row.r.share, row.r.fileId), row);
    this.paths.add(row.r.share, row.r.path, row);
  }

  remove(row: LeaseRow): void {
    this.byId.delete(row.id);
    removeFrom(this.#files, fileKey(row.r.share, row.r.fileId), row);
    this.paths.remove(row.r.share, row.r.path, row);
  }

  repath(row: LeaseRow, path: string): void {
    this.paths.remove(row.r.share, row.r.path, row);
    row.r.path = path;
    this.paths.add(row.r.share, row.r.path, row);
  }

  /** A lease goes on with another file of the same name. */
  refile(row: LeaseRow, fileId: string): void {
    removeFrom(this.#files, fileKey(row.r.share, row.r.fileId), row);
    row.r.fileId = fileId;
    addTo(this.#files, fileKey(row.r.share, fileId), row);
  }

  get(client: Id, key: Id): LeaseRow | undefined {
    return key === "" ? undefined : this.byId.get(client + key);
  }

  /** The lease that a handle holds. */
  of(handle: HandleRow): LeaseRow | undefined {
    return handle.leaseKey === "" ? undefined : this.byId.get(handle.client + handle.leaseKey);
  }

  /** In the order of client and key, on every member alike. */
  ofFile(share: string, fileId: string): readonly LeaseRow[] {
    if (fileId === "") return [];
    const rows = listOf(this.#files.get(fileKey(share, fileId)));
    return rows.length < 2 ? rows : [...rows].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

/** One string for share and file id. Neither contains a NUL. */
export function fileKey(share: string, fileId: string): string {
  return `${share}\0${fileId}`;
}
