import type { Log } from "../runtime/api.js";
import type { ReplicaConfig } from "./config.js";

/**
 * Whether this member is fit to lead. A leader whose disk hangs or whose event loop keeps stalling answers heartbeats
 * and nothing else; it is worse than an election (field-notes 3.1). Asks for a handover, at most once in a window, so that
 * a cluster whose disks are all slow does not pass the leadership around.
 */
export class Health {
  private loopStalls: number[] = [];
  private lastAskedMs = -Infinity;

  constructor(
    private readonly config: ReplicaConfig,
    private readonly log: Log,
    private readonly oldestPendingSyncMs: () => number,
  ) {}

  loopStalled(nowMs: number, lateMs: number): void {
    if (lateMs >= this.config.loopStallMs) this.loopStalls.push(nowMs);
  }

  /** Why a leader should hand over now; null when it need not. */
  demotionReason(nowMs: number): string | null {
    if (nowMs - this.lastAskedMs < this.config.stallWindowMs) return null;
    const reason = this.diskReason() ?? this.loopReason(nowMs);
    if (reason !== null) {
      this.lastAskedMs = nowMs;
      this.loopStalls = [];
      this.log.warn({ reason }, "not fit to lead, handing leadership over");
    }
    return reason;
  }

  private diskReason(): string | null {
    const oldest = this.oldestPendingSyncMs();
    return oldest >= this.config.diskStallMs ? `a disk write hangs for ${Math.round(oldest)} ms` : null;
  }

  private loopReason(nowMs: number): string | null {
    this.loopStalls = this.loopStalls.filter((at) => nowMs - at < this.config.stallWindowMs);
    if (this.loopStalls.length < this.config.loopStallsMax) return null;
    return `the event loop stalled ${this.loopStalls.length} times in ${this.config.stallWindowMs} ms`;
  }
}
