import type { Message, SnapshotMeta } from "../raft/index.js";
import type { Log } from "../runtime/api.js";
import type { SnapshotSink } from "../transport/api.js";
import type { v1 } from "../wire/index.js";
import { messageFromWire } from "./raft-codec.js";
import type { ReplicaStorage } from "./storage.js";

/** A snapshot whose data lies complete on this disk, waiting for the core's word. */
export interface StagedSnapshot {
  readonly meta: SnapshotMeta;
  /** True: it is the state now. False: it was not wanted. */
  readonly settle: (installed: boolean) => void;
}

/** Hands the core its snapshot message; called when the data is complete. */
export type SnapshotArrived = (message: Message, snapshot: StagedSnapshot) => void;

type StorageReceiver = Awaited<ReturnType<ReplicaStorage["receiveSnapshot"]>>;

/**
 * Takes in one snapshot at a time. The data is stored aside first and becomes the state only when the core has accepted
 * its message (lesson L26). A transfer that breaks off may go on where it stopped, under the same id.
 */
export class SnapshotReceiver {
  private current: IncomingSnapshot | null = null;

  constructor(
    private readonly storage: ReplicaStorage,
    private readonly arrived: SnapshotArrived,
    private readonly log: Log,
  ) {}

  /** A sink for the transfer that begins with this chunk, or null: it makes no sense, or another one is being installed. */
  begin(from: number, first: v1.ISnapshotChunk): SnapshotSink | null {
    const transferId = first.transferId ?? "";
    const { current } = this;
    if (current !== null && !current.over) {
      if (current.transferId === transferId && !current.finishing) return current;
      if (current.finishing) return null;
      current.abandon();
    }
    if (!first.message?.snapshot || transferId === "") {
      this.log.warn({ from, transferId }, "refused a snapshot whose first chunk does not describe it");
      return null;
    }
    const message = messageFromWire(first.message);
    if (message.snapshot === null) return null;
    this.current = new IncomingSnapshot(
      transferId,
      message,
      message.snapshot,
      this.storage,
      this.arrived,
      this.log,
    );
    return this.current;
  }
}

class IncomingSnapshot implements SnapshotSink {
  /** Handed to the core: past giving up. */
  finishing = false;
  over = false;
  private readonly staging: Promise<StorageReceiver>;
  private receiver: StorageReceiver | null = null;

  constructor(
    readonly transferId: string,
    private readonly message: Message,
    private readonly meta: SnapshotMeta,
    private readonly storage: ReplicaStorage,
    private readonly arrived: SnapshotArrived,
    private readonly log: Log,
  ) {
    this.staging = storage.receiveSnapshot(transferId, meta);
    // Whoever awaits it gets the error; nobody may have begun to by then.
    this.staging.then(
      (receiver) => (this.receiver = receiver),
      () => undefined,
    );
  }

  get nextSequence(): number {
    return this.receiver?.nextSequence ?? 0;
  }

  async chunk(chunk: v1.ISnapshotChunk): Promise<void> {
    const receiver = await this.staging;
    if (this.over || this.finishing) throw new Error(`transfer ${this.transferId} is over`);
    await receiver.chunk(chunk);
  }

  async finish(): Promise<boolean> {
    const receiver = await this.staging;
    if (this.over || this.finishing || !receiver.complete) return false;
    this.finishing = true;
    const installed = await new Promise<boolean>((settle) => {
      this.arrived(this.message, { meta: this.meta, settle });
    });
    this.over = true;
    if (!installed) await this.storage.discardReceived();
    return installed;
  }

  /** The stream broke; the sender may resume, so what is stored stays. */
  abort(reason: string): void {
    this.log.info({ transferId: this.transferId, reason, chunks: this.nextSequence }, "snapshot broke off");
  }

  /** Another transfer takes its place; the storage drops what it has when that one begins. */
  abandon(): void {
    this.over = true;
  }
}
