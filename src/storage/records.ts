import { crc32 } from "node:zlib";
import { Entry, EntryKind, type ConfState, type HardState } from "../raft/index.js";
import { v1 } from "../wire/index.js";
import { fromSnapshotMeta, toSnapshotMeta } from "../wire/snapshot-meta.js";
import { asBuffer, readU64, writeU64 } from "./bytes.js";
import { REBUILD_FROM_PEERS, storageFailed } from "./errors.js";
import { storageMutants } from "./mutants.js";

/**
 * Every value on disk begins with a CRC-32 over its key and its body: the binding reads iterators without verifying
 * block checksums, so a flipped bit would otherwise become a vote or an entry. The key is in it so that a value under
 * the wrong key is found too.
 */
const CRC_BYTES = 4;
const ENTRY_HEADER_BYTES = CRC_BYTES + 9;

/** Puts the CRC before a body. */
export function seal(key: Uint8Array, body: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(CRC_BYTES + body.length);
  sealed.set(body, CRC_BYTES);
  sealed.writeUInt32BE(crc32(body, crc32(key)), 0);
  return sealed;
}

/** The body behind its CRC; shares memory. Throws STORAGE_FAILED naming the key if the value is not what was written. */
export function unseal(key: Uint8Array, value: Uint8Array): Buffer {
  const bytes = asBuffer(value);
  if (bytes.length < CRC_BYTES) throw damaged(key, "it is cut short");
  const body = bytes.subarray(CRC_BYTES);
  if (bytes.readUInt32BE(0) !== crc32(body, crc32(key)) && !storageMutants.checksumIgnored)
    throw damaged(key, "its checksum does not match");
  return body;
}

/** The error for a record that cannot be what was written. */
export function damaged(key: Uint8Array, why: string) {
  return storageFailed(
    `the data folder is damaged at key ${asBuffer(key).toString("hex")}: ${why}`,
    REBUILD_FROM_PEERS,
  );
}

/** A log entry's value: crc, kind, term, data. Its index is in its key. */
export function encodeEntry(key: Buffer, entry: Entry): Buffer {
  const bytes = Buffer.allocUnsafe(ENTRY_HEADER_BYTES + entry.data.length);
  bytes[CRC_BYTES] = entry.kind;
  writeU64(bytes, entry.term, CRC_BYTES + 1);
  bytes.set(entry.data, ENTRY_HEADER_BYTES);
  bytes.writeUInt32BE(crc32(bytes.subarray(CRC_BYTES), crc32(key)), 0);
  return bytes;
}

/** The entry in a record; throws for one whose checksum or shape is wrong. */
export function decodeEntry(key: Uint8Array, index: number, value: Uint8Array): Entry {
  const body = unseal(key, value);
  const kind = body[0];
  if (body.length < 9 || kind === undefined || !isEntryKind(kind))
    throw damaged(key, "it is not a log entry");
  const term = readU64(body, 1);
  if (!Number.isSafeInteger(term)) throw damaged(key, "its term is out of range");
  return new Entry(term, index, kind, body.subarray(9));
}

function isEntryKind(kind: number): kind is EntryKind {
  return kind === EntryKind.Normal || kind === EntryKind.ConfChange || kind === EntryKind.ConfChangeV2;
}

/** Term, vote and commit in one record: a vote without its term has elected two leaders (lesson L5). */
export function encodeHardState(key: Uint8Array, state: HardState): Buffer {
  return seal(key, v1.HardState.encode(state).finish());
}

/** The hard state in a record; throws for one whose checksum or shape is wrong. */
export function decodeHardState(key: Uint8Array, value: Uint8Array): HardState {
  const state = v1.HardState.decode(unseal(key, value));
  return { term: state.term, vote: state.vote, commit: state.commit };
}

/** How far the state of a generation has come, and the configuration there. */
export interface AppliedPosition {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  /** Index of the entry that introduced `confState`; absent: not known. */
  readonly confIndex?: number;
}

/** How far the state has got, as it stands beside it on disk. */
export function encodeApplied(key: Uint8Array, applied: AppliedPosition): Buffer {
  return seal(key, v1.SnapshotMeta.encode(toSnapshotMeta(applied)).finish());
}

/** The applied position in a record; throws for one whose checksum is wrong. */
export function decodeApplied(key: Uint8Array, value: Uint8Array): AppliedPosition {
  return fromSnapshotMeta(v1.SnapshotMeta.decode(unseal(key, value)));
}

/** Which generation counts, and where its log begins: entries up to `index` are gone. */
export interface Layout {
  readonly generation: number;
  readonly index: number;
  readonly term: number;
}

/** Which generations of log and state are in force. */
export function encodeLayout(key: Uint8Array, layout: Layout): Buffer {
  return encodeJson(key, layout);
}

/** The layout in a record; throws for one whose checksum is wrong. */
export function decodeLayout(key: Uint8Array, value: Uint8Array): Layout {
  return decodeJson<Layout>(key, value);
}

/** Small records that nobody reads in a hurry are JSON, so that a person can. */
export function encodeJson(key: Uint8Array, value: object): Buffer {
  return seal(key, Buffer.from(JSON.stringify(value), "utf8"));
}

/** The value in a record that `encodeJson` made; throws for one whose checksum is wrong. */
export function decodeJson<T>(key: Uint8Array, value: Uint8Array): T {
  return JSON.parse(unseal(key, value).toString("utf8")) as T;
}
