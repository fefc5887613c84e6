import { crc32 } from "node:zlib";
import type { Message, RaftId, SnapshotMeta } from "../raft/index.js";
import type { NodeStorage, StateReader } from "../storage/api.js";
import type { SnapshotSource, Transport } from "../transport/api.js";
import { v1 } from "../wire/index.js";
import type { Log } from "../runtime/api.js";
import { messageToWire, snapshotToWire } from "./raft-codec.js";

/** Limits of one chunk. */
export interface ChunkLimits {
  readonly records: number;
  readonly bytes: number;
}

/** CRC of a chunk's records as both ends compute it: over keys and values in order. */
export function recordsCrc(records: readonly v1.IStateRecord[]): number {
  let crc = 0;
  for (const record of records) {
    crc = crc32(record.key ?? NO_BYTES, crc);
    crc = crc32(record.value ?? NO_BYTES, crc);
  }
  return crc >>> 0;
}

const NO_BYTES = new Uint8Array(0);

/** One snapshot on its way to one peer: chunks straight from a consistent reader of the disk. */
class StateSource implements SnapshotSource {
  readonly transferId: string;
  private sequence = 0;
  private total = 0;
  private closed = false;

  constructor(
    private readonly reader: StateReader,
    private readonly message: v1.IRaftMessage,
    private readonly limits: ChunkLimits,
    term: number,
    to: RaftId,
  ) {
    this.transferId = `${term}-${reader.meta.index}-${to}`;
  }

  async next(): Promise<v1.ISnapshotChunk> {
    if (this.closed) throw new Error("the transfer was given up");
    const records = await this.reader.next(this.limits.records, this.limits.bytes);
    this.total += records.length;
    const wire = records as unknown as v1.IStateRecord[];
    const chunk: v1.ISnapshotChunk = {
      transferId: this.transferId,
      sequence: this.sequence,
      records: wire,
      crc32: recordsCrc(wire),
    };
    if (this.sequence === 0) chunk.message = this.message;
    this.sequence++;
    if (records.length === 0) {
      chunk.last = true;
      chunk.totalRecords = this.total;
    }
    return chunk;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    // The transfer is over; an error while giving back its reader changes nothing for anybody.
    this.reader.close().catch(() => undefined);
  }
}

/**
 * Sends snapshots to followers that are too far behind for the log, at most one to each (lesson L45). The core pins the
 * log behind it until the end is reported (lesson L42).
 */
export class SnapshotSender {
  private readonly active = new Map<RaftId, { source: SnapshotSource | null; cancelled: boolean }>();

  constructor(
    private readonly storage: NodeStorage,
    private readonly transport: Transport,
    private readonly limits: ChunkLimits,
    private readonly log: Log,
    private readonly report: (to: RaftId, ok: boolean) => void,
  ) {}

  get count(): number {
    return this.active.size;
  }

  send(to: RaftId, meta: SnapshotMeta, message: Message): void {
    if (this.active.has(to)) return;
    const transfer = { source: null as SnapshotSource | null, cancelled: false };
    this.active.set(to, transfer);
    this.run(to, message, transfer).then(
      (ok) => this.ended(to, meta, ok, ""),
      (error: unknown) => this.ended(to, meta, false, String(error)),
    );
  }

  private async run(
    to: RaftId,
    message: Message,
    transfer: { source: SnapshotSource | null; cancelled: boolean },
  ): Promise<boolean> {
    const reader = await this.storage.openState();
    // The reader's moment may be later than what the core offered: what is sent describes itself.
    const wire = { ...messageToWire(message), snapshot: snapshotToWire(reader.meta) };
    const source = new StateSource(reader, wire, this.limits, message.term, to);
    transfer.source = source;
    try {
      return !transfer.cancelled && (await this.transport.sendSnapshot(to, source));
    } finally {
      source.close();
    }
  }

  private ended(to: RaftId, meta: SnapshotMeta, ok: boolean, why: string): void {
    this.active.delete(to);
    this.log.info({ to, index: meta.index, ok, why }, ok ? "snapshot installed" : "snapshot not delivered");
    this.report(to, ok);
  }

  /** The leadership is over: transfers under its term are of no use. */
  cancelAll(): void {
    for (const transfer of this.active.values()) {
      transfer.cancelled = true;
      transfer.source?.close();
    }
  }
}
