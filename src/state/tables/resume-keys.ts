import { v1 } from "../../wire/index.js";
import { Kind, textKey } from "../keys.js";
import { Row } from "../row.js";
import { LargeMap } from "./large-map.js";

/** A resume key of a file server that is not ours. Its store is the hottest command there is: nothing is rebuilt. */
export class KeyRow extends Row {
  owner = "";
  ownerIncarnation = 0;
  epoch = 0;
  state: Uint8Array;
  version = 0;
  changedRevision = 0;
  deadlineMs = 0;
  timeoutMs = 0;
  scheduledMs = Number.POSITIVE_INFINITY;
  /** Made once: it is needed at every store. */
  readonly #diskKey: Uint8Array;

  constructor(
    readonly key: string,
    state: Uint8Array,
  ) {
    super();
    this.state = state;
    this.#diskKey = textKey(Kind.resumeKey, key);
  }

  diskKey(): Uint8Array {
    return this.#diskKey;
  }

  encode(): Uint8Array {
    return v1.ResumeKeyRecord.encode(this.toRecord()).finish();
  }

  toRecord(): v1.IResumeKeyRecord {
    return {
      key: this.key,
      owner: this.owner,
      ownerIncarnation: this.ownerIncarnation,
      epoch: this.epoch,
      state: this.state,
      version: this.version,
      changedRevision: this.changedRevision,
      deadlineMs: this.deadlineMs,
      timeoutMs: this.timeoutMs,
    };
  }

  static fromRecord(record: v1.IResumeKeyRecord): KeyRow {
    const row = new KeyRow(record.key ?? "", new Uint8Array(record.state ?? []));
    row.owner = record.owner ?? "";
    row.ownerIncarnation = record.ownerIncarnation ?? 0;
    row.epoch = record.epoch ?? 0;
    row.version = record.version ?? 0;
    row.changedRevision = record.changedRevision ?? 0;
    row.deadlineMs = record.deadlineMs ?? 0;
    row.timeoutMs = record.timeoutMs ?? 0;
    return row;
  }
}

/** All resume keys, findable by name and owner. */
export class KeyTable {
  readonly byName = new LargeMap<KeyRow>();
  readonly #owners = new Map<string, Set<KeyRow>>();

  add(row: KeyRow): void {
    this.byName.set(row.key, row);
    this.#ownerSet(row.owner).add(row);
  }

  remove(row: KeyRow): void {
    this.byName.delete(row.key);
    this.#leave(row);
  }

  setOwner(row: KeyRow, node: string, incarnation: number): void {
    this.#leave(row);
    row.owner = node;
    row.ownerIncarnation = incarnation;
    this.#ownerSet(node).add(row);
  }

  ofOwner(node: string): ReadonlySet<KeyRow> {
    return this.#owners.get(node) ?? NO_KEYS;
  }

  #ownerSet(node: string): Set<KeyRow> {
    let set = this.#owners.get(node);
    if (set === undefined) this.#owners.set(node, (set = new Set()));
    return set;
  }

  #leave(row: KeyRow): void {
    const set = this.#owners.get(row.owner);
    set?.delete(row);
    if (set?.size === 0) this.#owners.delete(row.owner);
  }
}

const NO_KEYS: ReadonlySet<KeyRow> = new Set();
