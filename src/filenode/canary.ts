import type { Clock, Log, Scheduler, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { Vfs } from "./api.js";
import { ensureEffectsFolder } from "./effects/names.js";
import { EFFECTS_FOLDER } from "./paths.js";

/** What a canary needs to know. */
export interface CanaryOptions {
  readonly node: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: Log;
}

/**
 * Writes and syncs a small file on a share again and again. A node whose storage hangs or fails must not renew its
 * lease: it would keep its sessions from a node that can serve them.
 */
export class Canary {
  private answeredMs: number;
  private timer: Timer | null = null;
  private stopped = false;
  private count = 0;

  constructor(
    private readonly share: string,
    private readonly vfs: Vfs,
    private readonly options: CanaryOptions,
  ) {
    this.answeredMs = options.clock.monotonicMs();
  }

  start(): void {
    void this.round();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  /** False when the share has not answered for too long. */
  get healthy(): boolean {
    const silentMs = this.options.clock.monotonicMs() - this.answeredMs;
    return silentMs <= this.options.timeoutMs + this.options.everyMs;
  }

  private async round(): Promise<void> {
    try {
      await this.write();
      this.answeredMs = this.options.clock.monotonicMs();
    } catch (error) {
      this.options.log.warn({ share: this.share, error: String(error) }, "the share refused a test write");
    }
    if (!this.stopped)
      this.timer = this.options.scheduler.after(this.options.everyMs, () => void this.round());
  }

  private async write(): Promise<void> {
    const path = `${EFFECTS_FOLDER}/canary-${this.options.node}`;
    await ensureEffectsFolder(this.vfs);
    const file = await this.vfs.open(path, { write: true }).catch((error: unknown) => {
      if (error instanceof HoldfastError && error.code === ErrorCode.OBJECT_NAME_NOT_FOUND)
        return this.vfs.create(path);
      throw error;
    });
    try {
      this.count += 1;
      await file.write(0, new TextEncoder().encode(`${this.count}`.padStart(12)));
      await file.sync();
    } catch (error) {
      // A full disk answers; what cannot be written there is told to those who write.
      if (!(error instanceof HoldfastError) || error.code !== ErrorCode.DISK_FULL) throw error;
    } finally {
      await file.close();
    }
  }
}
