import type { Clock, Scheduler, Timer } from "../runtime/api.js";

/** What the ticker drives. */
export interface Ticked {
  tick(): void;
  /** The loop was blocked for `lateMs`: messages that arrived meanwhile have not been read yet. */
  stalled(lateMs: number): void;
}

/**
 * Regular ticks that know when they are late. After a stall of the event loop an overdue timer fires before the
 * heartbeats that wait in the sockets are read (raft.md 2.5). So a tick that is late by more than `lateMs` first tells of
 * the stall and lets one poll phase pass; the ticks that were missed are not made up for.
 */
export class Ticker {
  private timer: Timer | null = null;
  private dueMs = 0;
  private stopped = false;

  constructor(
    private readonly clock: Clock,
    private readonly scheduler: Scheduler,
    private readonly tickMs: number,
    private readonly lateMs: number,
    private readonly target: Ticked,
  ) {}

  start(): void {
    this.dueMs = this.clock.monotonicMs() + this.tickMs;
    this.arm();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  private arm(): void {
    if (this.stopped) return;
    this.timer = this.scheduler.after(Math.max(0, this.dueMs - this.clock.monotonicMs()), () => this.fire());
  }

  private fire(): void {
    if (this.stopped) return;
    const late = this.clock.monotonicMs() - this.dueMs;
    if (late > this.lateMs) {
      this.target.stalled(late);
      this.scheduler.soon(() => this.tickNow());
    } else {
      this.tickNow();
    }
  }

  private tickNow(): void {
    if (this.stopped) return;
    const now = this.clock.monotonicMs();
    this.target.tick();
    // Timers are a little late each time; a fixed grid keeps the rate, and a stall starts a new grid.
    this.dueMs = now - this.dueMs > this.tickMs ? now + this.tickMs : this.dueMs + this.tickMs;
    this.arm();
  }
}
