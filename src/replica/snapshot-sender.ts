import type { Message, RaftId, SnapshotMeta } from "../raft/index.js";
import type { Log } from "../runtime/api.js";
import { isDamage } from "../storage/errors.js";
import type { SnapshotSource, Transport } from "../transport/api.js";
import type { v1 } from "../wire/index.js";
import { toSnapshotMeta } from "../wire/snapshot-meta.js";
import { messageToWire } from "./raft-codec.js";
import type { ReplicaStorage } from "./storage.js";

type StateReader = Awaited<ReturnType<ReplicaStorage["openStateSnapshot"]>>;

/** One snapshot on its way to one peer: chunks straight from a consistent view of the disk. */
class StateSource implements SnapshotSource {
  readonly transferId: string;
  private sequence = 0;
  private closed = false;

  constructor(
    private readonly reader: StateReader,
    private readonly message: v1.IRaftMessage,
    private readonly chunkBytes: number,
    term: number,
    to: RaftId,
    private readonly failed: (error: unknown) => void,
  ) {
    this.transferId = `${term}-${reader.index}-${to}`;
  }

  async next(): Promise<v1.ISnapshotChunk> {
    if (this.closed) throw new Error("the transfer was given up");
    const { records, crc32, last, totalRecords } = await this.reader
      .next(this.chunkBytes)
      .catch((error: unknown) => {
        this.failed(error);
        throw error;
      });
    const chunk: v1.ISnapshotChunk = {
      transferId: this.transferId,
      sequence: this.sequence,
      records,
      crc32,
    };
    if (this.sequence === 0) chunk.message = this.message;
    this.sequence++;
    if (last) {
      chunk.last = true;
      chunk.totalRecords = totalRecords;
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

interface Transfer {
  source: SnapshotSource | null;
  cancelled: boolean;
}

/**
 * Sends snapshots to followers that are too far behind for the log, at most one to each (lesson L45). The core pins the
 * log behind it until the end is reported (lesson L42).
 */
export class SnapshotSender {
  private readonly active = new Map<RaftId, Transfer>();

  constructor(
    private readonly storage: ReplicaStorage,
    private readonly transport: Transport,
    private readonly chunkBytes: number,
    private readonly log: Log,
    private readonly report: (to: RaftId, ok: boolean) => void,
    /** What this member has on its own disk is not what it wrote. */
    private readonly damaged: (error: Error) => void,
  ) {}

  get count(): number {
    return this.active.size;
  }

  send(to: RaftId, meta: SnapshotMeta, message: Message): void {
    if (this.active.has(to)) {
      // The earlier one belongs to a leadership that is over and has not ended yet; the core will ask again.
      this.report(to, false);
      return;
    }
    const transfer: Transfer = { source: null, cancelled: false };
    this.active.set(to, transfer);
    this.run(to, message, transfer).then(
      (ok) => this.ended(to, meta, ok, ""),
      (error: unknown) => this.ended(to, meta, false, String(error)),
    );
  }

  private async run(to: RaftId, message: Message, transfer: Transfer): Promise<boolean> {
    const failed = (error: unknown): void => {
      if (isDamage(error)) this.damaged(error as Error);
    };
    const reader = await this.storage.openStateSnapshot().catch((error: unknown) => {
      failed(error);
      throw error;
    });
    // The reader's moment may be later than what the core offered: what is sent describes itself.
    const { index, term, confState, confIndex } = reader;
    const meta: SnapshotMeta = { index, term, confState, confIndex };
    const wire = { ...messageToWire(message), snapshot: toSnapshotMeta(meta) };
    const source = new StateSource(reader, wire, this.chunkBytes, message.term, to, failed);
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
