import { v1 } from "../../wire/index.js";
import { type Id, idOf } from "../ids.js";
import { Kind, numberKey } from "../keys.js";
import { type Full, maker } from "../record.js";
import { Row } from "../row.js";
import { addTo, type HandleRow, listOf, removeFrom } from "./handles.js";

/** A stored reply. */
export class SlotRow extends Row {
  sequence = 0;
  digest: Id = "";
  result: Uint8Array | null = null;
  underWay = false;
  /** Of an append: where attempts under this id were taken back. */
  takenBack: readonly number[] = NOWHERE;
  takenBackRevision = 0;

  constructor(
    readonly sessionId: number,
    readonly slot: number,
  ) {
    super();
  }

  diskKey(): Uint8Array {
    return numberKey(Kind.slot, this.sessionId, this.slot);
  }

  encode(): Uint8Array {
    return v1.SlotRecord.encode(this.toRecord()).finish();
  }

  toRecord(): v1.ISlotRecord {
    return {
      sessionId: this.sessionId,
      slot: this.slot,
      sequence: this.sequence,
      requestDigest: Buffer.from(this.digest, "latin1"),
      ...(this.result ? { result: this.result } : {}),
      underWay: this.underWay,
      ...(this.takenBack.length > 0
        ? { takenBack: [...this.takenBack], takenBackRevision: this.takenBackRevision }
        : {}),
    };
  }
}

const NOWHERE: readonly number[] = [];

/** A complete session record. */
export type SessionRecord = Full<v1.ISessionRecord>;
/** Makes one. */
export const sessionRecord = maker<v1.ISessionRecord>(v1.SessionRecord);

/** Disconnects remembered per session: a handle that was not resumed through more of them is dated from the oldest. */
export const DISCONNECTS_KEPT = 8;

/** A session: the unit of ownership. */
export class SessionRow extends Row {
  readonly client: Id;
  /** Open, pending and closed handles. */
  readonly handles = new Set<HandleRow>();
  /** Closed ones, in the order of closing. */
  readonly tombstones = new Set<HandleRow>();
  /** Handles in place that do not survive their server. */
  fragile = 0;
  /** No handle of it promises less; a lower bound, for finding due expiries without looking at each. */
  handleTimeoutMinMs = Number.POSITIVE_INFINITY;
  slots: Map<number, SlotRow> | null = null;
  scheduledMs = Number.POSITIVE_INFINITY;

  constructor(readonly r: SessionRecord) {
    super();
    this.client = idOf(r.clientGuid);
  }

  diskKey(): Uint8Array {
    return numberKey(Kind.session, this.r.id);
  }

  encode(): Uint8Array {
    return v1.SessionRecord.encode(this.r).finish();
  }

  /** Cluster time at which the connection with this number ended; zero: it has not. */
  disconnectedMs(connection: number): number {
    const notes = this.r.disconnects;
    for (const note of notes) if ((note.connection ?? 0) >= connection) return note.atMs ?? 0;
    return 0;
  }

  /** Handles that are not tombstones. */
  get liveHandles(): number {
    return this.handles.size - this.tombstones.size;
  }
}

/** All sessions, findable by id, owner and client. */
export class SessionTable {
  readonly byId = new Map<number, SessionRow>();
  readonly #owners = new Map<string, Set<SessionRow>>();
  readonly #clients = new Map<Id, SessionRow | SessionRow[]>();

  add(row: SessionRow): void {
    this.byId.set(row.r.id, row);
    addTo(this.#clients, row.client, row);
    this.#ownerSet(row.r.owner).add(row);
  }

  remove(row: SessionRow): void {
    this.byId.delete(row.r.id);
    removeFrom(this.#clients, row.client, row);
    this.#leave(row);
  }

  /** Moves it in the index only; epoch and the rest are the caller's. */
  setOwner(row: SessionRow, node: string, incarnation: number): void {
    this.#leave(row);
    row.r.owner = node;
    row.r.ownerIncarnation = incarnation;
    this.#ownerSet(node).add(row);
  }

  ofOwner(node: string): ReadonlySet<SessionRow> {
    return this.#owners.get(node) ?? NO_SESSIONS;
  }

  ofClient(client: Id): readonly SessionRow[] {
    return listOf(this.#clients.get(client));
  }

  #ownerSet(node: string): Set<SessionRow> {
    let set = this.#owners.get(node);
    if (set === undefined) this.#owners.set(node, (set = new Set()));
    return set;
  }

  #leave(row: SessionRow): void {
    const set = this.#owners.get(row.r.owner);
    set?.delete(row);
    if (set?.size === 0) this.#owners.delete(row.r.owner);
  }
}

const NO_SESSIONS: ReadonlySet<SessionRow> = new Set();
