import type { WriteOp } from "../runtime/api.js";
import type { v1 } from "../wire/index.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { CommitQueue } from "./commit-queue.js";
import { metaKey, stateKey } from "./keys.js";
import { encodeJson, seal, type AppliedPosition } from "./records.js";
import { chunkCrc } from "./state-snapshot.js";

/** How far a snapshot that is being received has come; lies on disk beside its records. */
export interface Receiving {
  readonly generation: number;
  readonly transferId: string;
  readonly position: AppliedPosition;
  readonly nextSequence: number;
  readonly records: number;
  readonly complete: boolean;
}

/**
 * Takes the chunks of one snapshot and lays them down in a generation of their own, beside the state in use. Records
 * and progress are in the same batch, so that a restart goes on at exactly the chunk that is missing. Nothing here is
 * synced: the batch that puts the generation to use is, and covers everything before it.
 */
export class SnapshotReceiver {
  readonly #queue: CommitQueue;
  #state: Receiving;
  #busy = false;

  constructor(queue: CommitQueue, state: Receiving) {
    this.#queue = queue;
    this.#state = state;
  }

  get transferId(): string {
    return this.#state.transferId;
  }

  get position(): AppliedPosition {
    return this.#state.position;
  }

  get generation(): number {
    return this.#state.generation;
  }

  /** The chunk that is needed next; everything before it is stored. */
  get nextSequence(): number {
    return this.#state.nextSequence;
  }

  /** True once all chunks are stored and counted: the snapshot may be installed. */
  get complete(): boolean {
    return this.#state.complete;
  }

  /**
   * Stores one chunk. A chunk that was stored already is passed over. Rejects with INVALID_ARGUMENT for a chunk of
   * another transfer, out of order or not what was sent; the sender has to begin anew.
   */
  async chunk(chunk: v1.ISnapshotChunk): Promise<void> {
    const sequence = chunk.sequence ?? 0;
    if ((chunk.transferId ?? "") !== this.transferId)
      throw refused(`chunk of transfer "${chunk.transferId}" in transfer "${this.transferId}"`);
    if (sequence < this.nextSequence) return;
    if (this.#busy) throw refused("two chunks of one snapshot at once");
    const records = chunk.records ?? [];
    if (sequence !== this.nextSequence || this.complete)
      throw refused(`chunk ${sequence} came where ${this.nextSequence} was due`);
    if (chunkCrc(records) !== (chunk.crc32 ?? 0))
      throw refused(`chunk ${sequence} does not match its checksum`);
    const next = this.#advance(records.length, chunk);
    this.#busy = true;
    try {
      await this.#queue.write(this.#ops(records, next), false);
      this.#state = next;
    } finally {
      this.#busy = false;
    }
  }

  #advance(count: number, chunk: v1.ISnapshotChunk): Receiving {
    const records = this.#state.records + count;
    const complete = chunk.last ?? false;
    if (complete && records !== (chunk.totalRecords ?? 0))
      throw refused(`the snapshot has ${chunk.totalRecords} records, ${records} came`);
    return { ...this.#state, records, complete, nextSequence: this.#state.nextSequence + 1 };
  }

  #ops(records: readonly v1.IStateRecord[], next: Receiving): WriteOp[] {
    const ops: WriteOp[] = [];
    for (const { key, value } of records) {
      const own = key ?? new Uint8Array();
      ops.push({
        type: "put",
        key: stateKey(next.generation, own),
        value: seal(own, value ?? new Uint8Array()),
      });
    }
    ops.push(receivingOp(next));
    return ops;
  }
}

/** Stores the progress of a transfer. */
export function receivingOp(receiving: Receiving): WriteOp {
  const key = metaKey("receiving");
  return { type: "put", key, value: encodeJson(key, receiving) };
}

function refused(message: string): HoldfastError {
  return new HoldfastError(ErrorCode.INVALID_ARGUMENT, `snapshot refused: ${message}`);
}
