import type { Log } from "../runtime/api.js";
import type { ReplicaConfig } from "./config.js";

/** Disk writes whose latency is kept for the percentile. */
const KEPT_LATENCIES = 512;

/**
 * Whether this member is fit to lead. A leader whose disk hangs or whose event loop keeps stalling answers heartbeats
 * and nothing else; it is worse than an election (field-notes 3.1). Asks for a handover, at most once in a window, so that
 * a cluster whose disks are all slow does not pass the leadership around.
 */
export class Health {
  private readonly latencies = new Float64Array(KEPT_LATENCIES);
  private latencyCount = 0;
  private readonly pending: number[] = [];
  private loopStalls: number[] = [];
  private lastAskedMs = -Infinity;

  constructor(
    private readonly config: ReplicaConfig,
    private readonly log: Log,
  ) {}

  writeStarted(nowMs: number): void {
    this.pending.push(nowMs);
  }

  /** Writes end in the order in which they started. */
  writeEnded(nowMs: number): void {
    const started = this.pending.shift() as number;
    this.latencies[this.latencyCount++ % KEPT_LATENCIES] = nowMs - started;
  }

  oldestPendingMs(nowMs: number): number {
    const first = this.pending[0];
    return first === undefined ? 0 : nowMs - first;
  }

  loopStalled(nowMs: number, lateMs: number): void {
    if (lateMs >= this.config.loopStallMs) this.loopStalls.push(nowMs);
  }

  /** Why a leader should hand over now; null when it need not. */
  demotionReason(nowMs: number): string | null {
    if (nowMs - this.lastAskedMs < this.config.stallWindowMs) return null;
    const reason = this.diskReason(nowMs) ?? this.loopReason(nowMs);
    if (reason !== null) {
      this.lastAskedMs = nowMs;
      this.loopStalls = [];
      this.log.warn({ reason }, "not fit to lead, handing leadership over");
    }
    return reason;
  }

  private diskReason(nowMs: number): string | null {
    const oldest = this.oldestPendingMs(nowMs);
    return oldest >= this.config.diskStallMs ? `a disk write hangs for ${Math.round(oldest)} ms` : null;
  }

  private loopReason(nowMs: number): string | null {
    this.loopStalls = this.loopStalls.filter((at) => nowMs - at < this.config.stallWindowMs);
    if (this.loopStalls.length < this.config.loopStallsMax) return null;
    return `the event loop stalled ${this.loopStalls.length} times in ${this.config.stallWindowMs} ms`;
  }

  /** 99th percentile of the latest synced writes; zero before the first. */
  fsyncP99Ms(): number {
    const count = Math.min(this.latencyCount, KEPT_LATENCIES);
    if (count === 0) return 0;
    const sorted = this.latencies.slice(0, count).sort();
    return sorted[Math.min(count - 1, Math.ceil(count * 0.99) - 1)] ?? 0;
  }
}
