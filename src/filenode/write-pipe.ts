import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { VfsFile } from "./api.js";
import { crashPoint } from "./crash-points.js";
import type { KernelGate } from "./kernel-gate.js";
import { filenodeMutants } from "./mutants.js";

interface QueuedWrite {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** What a pipe needs of its surroundings. */
export interface WritePipeEnv {
  readonly gate: KernelGate;
  /** Opens the handle's file, or answers the one that is open. */
  file(): Promise<VfsFile>;
  /** Throws when this node may not write any more: asked for each write right before it goes to the kernel. */
  admit(): void;
  readonly writesPerSyncMax: number;
  /** True: answered only after a sync. */
  readonly writeThrough: boolean;
}

/**
 * The writes of one handle, in the order in which they came. One sync covers all that were written before it began;
 * while it runs the next ones collect, so that a client with several writes under way pays for one sync, not for each.
 */
export class WritePipe {
  private queue: QueuedWrite[] = [];
  private busy = false;
  queuedBytes = 0;

  constructor(private readonly env: WritePipeEnv) {}

  /** Resolves when the data is written and, with write-through, on stable storage. */
  write(offset: number, data: Uint8Array): Promise<void> {
    return new Promise((done, failed) => {
      this.queue.push({ offset, data, done, failed });
      this.queuedBytes += data.length;
      if (!this.busy) void this.pump();
    });
  }

  private async pump(): Promise<void> {
    this.busy = true;
    while (this.queue.length > 0) {
      const batch = this.queue.splice(0, this.env.writesPerSyncMax);
      await this.runBatch(batch);
      for (const write of batch) this.queuedBytes -= write.data.length;
    }
    this.busy = false;
  }

  private async runBatch(batch: readonly QueuedWrite[]): Promise<void> {
    const written: QueuedWrite[] = [];
    try {
      await this.env.gate.run(
        () => {
          if (!filenodeMutants.lateWriteAfterTakeover) this.env.admit();
        },
        async () => {
          const file = await this.env.file();
          for (const write of batch) {
            if (!filenodeMutants.lateWriteAfterTakeover) this.env.admit();
            await writeOne(file, write, written);
          }
          crashPoint("write.written");
          if (this.env.writeThrough && written.length > 0 && !filenodeMutants.replyBeforeSync)
            await file.sync();
          crashPoint("write.synced");
        },
      );
      for (const write of written) write.done();
    } catch (error) {
      // Those already answered with an error of their own do not mind a second one.
      for (const write of batch) write.failed(error);
    }
  }
}

async function writeOne(file: VfsFile, write: QueuedWrite, written: QueuedWrite[]): Promise<void> {
  try {
    await file.write(write.offset, write.data);
    written.push(write);
  } catch (error) {
    // A full disk concerns this write; a failed device all that follow too.
    write.failed(error);
    if (!(error instanceof HoldfastError) || error.code === ErrorCode.STORAGE_FAILED) throw error;
  }
}
