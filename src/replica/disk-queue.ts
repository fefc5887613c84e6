import type { Message, PersistBatch } from "../raft/index.js";
import type { Clock } from "../runtime/api.js";
import type { NodeStorage } from "../storage/api.js";
import type { Health } from "./health.js";
import type { StagedSnapshot } from "./snapshot-receiver.js";

/** What happens when batches have become durable. */
export interface DiskHost {
  /** Batches up to `seq` are durable; `after` may leave now. */
  durable(seq: number, after: readonly Message[]): void;
  /** The state on disk was replaced. */
  installed(snapshot: StagedSnapshot): void;
  fail(error: Error): void;
}

interface Outstanding {
  readonly batch: PersistBatch;
  written: boolean;
}

/**
 * Hands the core's batches to the disk and tells, in their order, when they are durable (lessons L20, L27, L28). A batch
 * without anything to write waits for those before it and for nothing else.
 */
export class DiskQueue {
  private readonly outstanding: Outstanding[] = [];

  constructor(
    private readonly storage: NodeStorage,
    private readonly clock: Clock,
    private readonly health: Health,
    private readonly host: DiskHost,
  ) {}

  write(batch: PersistBatch, snapshot: StagedSnapshot | null): void {
    const entry: Outstanding = { batch, written: false };
    this.outstanding.push(entry);
    if (batch.snapshot !== null) return this.install(entry, snapshot);
    if (!batch.mustSync && batch.hardState === null && batch.entries.length === 0) {
      entry.written = true;
      return this.release();
    }
    if (batch.mustSync) this.health.writeStarted(this.clock.monotonicMs());
    this.storage.writeLog(batch.hardState, batch.entries, batch.mustSync, (error) => {
      if (batch.mustSync) this.health.writeEnded(this.clock.monotonicMs());
      this.done(entry, error);
    });
  }

  private install(entry: Outstanding, snapshot: StagedSnapshot | null): void {
    const { batch } = entry;
    if (snapshot === null || batch.snapshot === null)
      throw new Error("invariant: the core accepts only snapshots whose data has arrived");
    this.storage.installState(snapshot.staged, batch.snapshot, batch.hardState, batch.entries, (error) => {
      if (error === null) this.host.installed(snapshot);
      this.done(entry, error);
    });
  }

  private done(entry: Outstanding, error: Error | null): void {
    if (error !== null) return this.host.fail(error);
    entry.written = true;
    this.release();
  }

  private release(): void {
    while (this.outstanding[0]?.written) {
      const { batch } = this.outstanding.shift() as Outstanding;
      this.host.durable(batch.seq, batch.after);
    }
  }
}
