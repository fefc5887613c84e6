import type { Message, SnapshotMeta } from "../raft/index.js";
import type { NodeStorage, StagedState, StoredRecord } from "../storage/api.js";
import type { SnapshotSink } from "../transport/api.js";
import type { Log } from "../runtime/api.js";
import type { v1 } from "../wire/index.js";
import { messageFromWire } from "./raft-codec.js";
import { recordsCrc } from "./snapshot-sender.js";

/** A snapshot whose data lies complete on this disk, waiting for the core's word. */
export interface StagedSnapshot {
  readonly meta: SnapshotMeta;
  readonly staged: StagedState;
  /** True: it is the state now. False: it was not wanted. */
  readonly settle: (installed: boolean) => void;
}

/** Hands the core its snapshot message; called when the data is complete. */
export type SnapshotArrived = (message: Message, snapshot: StagedSnapshot) => void;

/**
 * Takes in one snapshot at a time. The data is stored aside first and becomes the state only when the core has accepted
 * its message (lesson L26). A transfer that breaks off may go on where it stopped, under the same id.
 */
export class SnapshotReceiver {
  private current: IncomingSnapshot | null = null;

  constructor(
    private readonly storage: NodeStorage,
    private readonly arrived: SnapshotArrived,
    private readonly log: Log,
  ) {}

  /** A sink for the transfer that begins with this chunk, or null when the chunk makes no sense. */
  begin(from: number, first: v1.ISnapshotChunk): SnapshotSink | null {
    const transferId = first.transferId ?? "";
    if (this.current !== null && this.current.transferId === transferId && !this.current.done)
      return this.current;
    if (!first.message?.snapshot || transferId === "") {
      this.log.warn({ from, transferId }, "refused a snapshot whose first chunk does not describe it");
      return null;
    }
    // One that is being handed to the core is past discarding.
    if (this.current !== null && !this.current.done) this.current.abandon();
    const message = messageFromWire(first.message, from);
    this.current = new IncomingSnapshot(transferId, message, this.storage, this.arrived, this.log);
    return this.current;
  }
}

class IncomingSnapshot implements SnapshotSink {
  nextSequence = 0;
  done = false;
  private total = 0;
  private readonly staging: Promise<StagedState>;
  private abandoned = false;

  constructor(
    readonly transferId: string,
    private readonly message: Message,
    storage: NodeStorage,
    private readonly arrived: SnapshotArrived,
    private readonly log: Log,
  ) {
    this.staging = storage.stageState();
    // Whoever awaits it gets the error; nobody may have begun to by then.
    this.staging.catch(() => undefined);
  }

  async chunk(chunk: v1.ISnapshotChunk): Promise<void> {
    if (this.abandoned || this.done) throw new Error(`transfer ${this.transferId} is over`);
    const sequence = (chunk.sequence as number | undefined) ?? 0;
    // Sent again after a reconnect: stored already.
    if (sequence < this.nextSequence) return;
    if (sequence > this.nextSequence)
      throw new Error(`transfer ${this.transferId}: chunk ${sequence} came instead of ${this.nextSequence}`);
    const records = chunk.records ?? [];
    if (recordsCrc(records) !== (chunk.crc32 ?? 0))
      throw new Error(`transfer ${this.transferId}: chunk ${sequence} is damaged`);
    if (chunk.last && ((chunk.totalRecords as number | undefined) ?? 0) !== this.total + records.length)
      throw new Error(
        `transfer ${this.transferId}: ${chunk.totalRecords} records announced, ${this.total} came`,
      );
    this.nextSequence++;
    this.total += records.length;
    const staged = await this.staging;
    if (records.length > 0) await staged.add(records as unknown as readonly StoredRecord[]);
  }

  async finish(): Promise<boolean> {
    const { snapshot } = this.message;
    if (this.abandoned || this.done || snapshot === null) return false;
    this.done = true;
    const staged = await this.staging;
    const installed = await new Promise<boolean>((settle) => {
      this.arrived(this.message, { meta: snapshot, staged, settle });
    });
    if (!installed) staged.discard();
    return installed;
  }

  /** The stream broke; the sender may resume, so what is stored stays. */
  abort(reason: string): void {
    this.log.info({ transferId: this.transferId, reason, chunks: this.nextSequence }, "snapshot broke off");
  }

  /** Another transfer takes its place. */
  abandon(): void {
    this.abandoned = true;
    this.staging.then(
      (staged) => staged.discard(),
      () => undefined,
    );
  }
}
