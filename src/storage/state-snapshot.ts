import { crc32 } from "node:zlib";
import type { KvIterator } from "../runtime/api.js";
import type { ConfState } from "../raft/index.js";
import type { v1 } from "../wire/index.js";
import { appliedKey, stateKeyOf } from "./keys.js";
import { type AppliedPosition, damaged, decodeApplied, unseal } from "./records.js";

/** One piece of a snapshot: records in key order and their checksum. */
export interface StateChunk {
  readonly records: v1.IStateRecord[];
  readonly crc32: number;
  readonly last: boolean;
  /** All records of the snapshot; known only with `last`. */
  readonly totalRecords: number;
}

const PAIRS_PER_READ = 4096;

/**
 * The state on disk at one applied index, read forward from a consistent view: nothing is copied in memory, and the
 * state may move on meanwhile. To be closed, or the store keeps the old versions for ever.
 */
export class StateSnapshot {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly confIndex: number;
  readonly #view: KvIterator;
  #ahead: v1.IStateRecord[] = [];
  #total = 0;
  #ended = false;

  private constructor(view: KvIterator, position: AppliedPosition) {
    this.#view = view;
    this.index = position.index;
    this.term = position.term;
    this.confState = position.confState;
    this.confIndex = position.confIndex ?? 0;
  }

  /** Takes over the iterator; the position that it yields first belongs to the very records behind it. */
  static async open(view: KvIterator, generation: number): Promise<StateSnapshot> {
    try {
      const [first] = await view.next(1, 1);
      const key = appliedKey(generation);
      if (first === undefined || Buffer.compare(first[0], key) !== 0)
        throw damaged(key, "the applied position is missing");
      return new StateSnapshot(view, decodeApplied(key, first[1]));
    } catch (error) {
      await view.close();
      throw error;
    }
  }

  /** Up to about `bytesMax` bytes of records; the one with `last` ends it. Rejects for a damaged record. */
  async next(bytesMax: number): Promise<StateChunk> {
    const records = this.#ahead;
    let bytes = records.reduce((sum, record) => sum + sizeOf(record), 0);
    while (bytes < bytesMax && !this.#ended) {
      const read = await this.#read(bytesMax - bytes);
      for (const record of read) bytes += sizeOf(record);
      records.push(...read);
    }
    // One record is read ahead, so that the last chunk knows that it is the last.
    this.#ahead = this.#ended ? [] : await this.#read(1);
    this.#total += records.length;
    return {
      records,
      crc32: chunkCrc(records),
      last: this.#ended && this.#ahead.length === 0,
      totalRecords: this.#total,
    };
  }

  close(): Promise<void> {
    return this.#view.close();
  }

  async #read(bytesMax: number): Promise<v1.IStateRecord[]> {
    const pairs = await this.#view.next(bytesMax === 1 ? 1 : PAIRS_PER_READ, bytesMax);
    if (pairs.length === 0) this.#ended = true;
    return pairs.map(([key, value]) => ({ key: stateKeyOf(key), value: unseal(stateKeyOf(key), value) }));
  }
}

/** Checksum of a chunk: over each record's key length, value length, key and value, lengths as 32 bits big-endian. */
export function chunkCrc(records: readonly v1.IStateRecord[]): number {
  const lengths = Buffer.allocUnsafe(8);
  let crc = 0;
  for (const { key, value } of records) {
    lengths.writeUInt32BE(key?.length ?? 0, 0);
    lengths.writeUInt32BE(value?.length ?? 0, 4);
    crc = crc32(lengths, crc);
    if (key) crc = crc32(key, crc);
    if (value) crc = crc32(value, crc);
  }
  return crc;
}

function sizeOf(record: v1.IStateRecord): number {
  return (record.key?.length ?? 0) + (record.value?.length ?? 0) + 8;
}
