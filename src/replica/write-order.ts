import type { PersistBatch } from "../raft/index.js";
import type { ReplicaStorage } from "./storage.js";

interface Outstanding {
  readonly batch: PersistBatch;
  written: boolean;
}

/**
 * Hands the core's batches to the disk and tells, in their order, when they are durable (lessons L20, L27, L28).
 *
 * A batch that needs no sync holds at most a new commit index, which is only a hint (lesson L25) and never worth a write
 * of its own: such a batch just waits for those before it. The hint reaches the disk with the next batch that is written.
 */
export class WriteOrder {
  private readonly outstanding: Outstanding[] = [];
  private deferred: Outstanding[] = [];

  constructor(
    private readonly storage: Pick<ReplicaStorage, "persist">,
    /** The batch and all before it are durable. Not called inside `write` for batches that were written. */
    private readonly durable: (batch: PersistBatch) => void,
    private readonly fail: (error: Error) => void,
    private readonly soon: (run: () => void) => void,
  ) {}

  /**
   * `afterSending`: the batch belongs to messages that are on their way to the socket, and nobody waits for this disk
   * alone. Encoding it for the store and waking a thread for it then come after the socket's turn: the peers' disks,
   * which are waited for, begin that much earlier.
   */
  write(batch: PersistBatch, afterSending = false): void {
    const entry: Outstanding = { batch, written: !batch.mustSync };
    this.outstanding.push(entry);
    if (!batch.mustSync) return this.release();
    this.deferred.push(entry);
    if (!afterSending) this.putDeferred();
    else if (this.deferred.length === 1) this.soon(() => this.putDeferred());
  }

  private putDeferred(): void {
    const due = this.deferred;
    this.deferred = [];
    for (const entry of due) this.put(entry);
  }

  private put(entry: Outstanding): void {
    this.storage.persist(entry.batch, (error) => {
      if (error !== null) return this.fail(error);
      entry.written = true;
      this.release();
    });
  }

  private release(): void {
    while (this.outstanding[0]?.written) this.durable((this.outstanding.shift() as Outstanding).batch);
  }
}
