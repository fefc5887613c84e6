import { asBuffer, prefixEnd, readU64, writeU64 } from "./bytes.js";

/**
 * Where things lie in a node's store. All numbers in keys are fixed-width and big-endian, so that keys order as the
 * numbers do. A *generation* is one life of log and state: a received snapshot is written beside the old generation
 * and takes its place by one small synced batch (lesson L26).
 *
 *   0x10 name                     single records: identity, format, layout, hard state, ...
 *   0x20 generation index         log entries
 *   0x30 generation 0x00          applied position of the state that follows it
 *   0x30 generation 0x01 key      state records
 */
const META = 0x10;
const LOG = 0x20;
const STATE = 0x30;
const APPLIED = 0x00;
const RECORD = 0x01;
const STATE_PREFIX_BYTES = 6;

/** Names of the single records. */
export type MetaName = "identity" | "fileNode" | "layout" | "hardState" | "receiving" | `peer/${number}`;

/** The key of a single record. */
export function metaKey(name: MetaName): Buffer {
  return Buffer.concat([Buffer.from([META]), Buffer.from(name, "utf8")]);
}

/** The key of a log entry; entries of a generation are in the order of their indexes. */
export function logKey(generation: number, index: number): Buffer {
  const key = Buffer.allocUnsafe(13);
  key[0] = LOG;
  key.writeUInt32BE(generation, 1);
  writeU64(key, index, 5);
  return key;
}

/** The index in a key that `logKey` made. */
export function logIndexOf(key: Uint8Array): number {
  return readU64(asBuffer(key), 5);
}

/** The key of a generation's applied position; it sorts before the generation's records. */
export function appliedKey(generation: number): Buffer {
  const key = Buffer.allocUnsafe(STATE_PREFIX_BYTES);
  key[0] = STATE;
  key.writeUInt32BE(generation, 1);
  key[5] = APPLIED;
  return key;
}

/** The key of a record of the state machine, under its generation. */
export function stateKey(generation: number, key: Uint8Array): Buffer {
  const full = Buffer.allocUnsafe(STATE_PREFIX_BYTES + key.length);
  full[0] = STATE;
  full.writeUInt32BE(generation, 1);
  full[5] = RECORD;
  full.set(key, STATE_PREFIX_BYTES);
  return full;
}

/** The state machine's own key in a key that `stateKey` made; shares its memory. */
export function stateKeyOf(full: Uint8Array): Uint8Array {
  return full.subarray(STATE_PREFIX_BYTES);
}

/** A range of keys, from <= key < to. */
export interface KeyRange {
  readonly from: Buffer;
  readonly to: Buffer;
}

/** All log entries of a generation from `index` on. */
export function logRange(generation: number, index = 0): KeyRange {
  return { from: logKey(generation, index), to: prefixEnd(generationPrefix(LOG, generation)) };
}

/** Applied position and state records of a generation, the position first. */
export function stateRange(generation: number): KeyRange {
  const prefix = generationPrefix(STATE, generation);
  return { from: prefix, to: prefixEnd(prefix) };
}

/** Everything under one kind of key, for looking what generations there are. */
export const LOG_RANGE: KeyRange = { from: Buffer.from([LOG]), to: Buffer.from([LOG + 1]) };
/** The same for state. */
export const STATE_RANGE: KeyRange = { from: Buffer.from([STATE]), to: Buffer.from([STATE + 1]) };
/** Every key there is. */
export const ALL: KeyRange = { from: Buffer.from([1]), to: Buffer.from([0xff]) };
/** The notes about peers. */
export const PEERS_RANGE: KeyRange = {
  from: Buffer.concat([Buffer.from([META]), Buffer.from("peer/")]),
  to: Buffer.concat([Buffer.from([META]), Buffer.from("peer0")]),
};

/** The generation in a log or state key. */
export function generationOf(key: Uint8Array): number {
  return asBuffer(key).readUInt32BE(1);
}

function generationPrefix(kind: number, generation: number): Buffer {
  const prefix = Buffer.allocUnsafe(5);
  prefix[0] = kind;
  prefix.writeUInt32BE(generation, 1);
  return prefix;
}
