import { monitorEventLoopDelay, type IntervalHistogram } from "node:perf_hooks";

/** One window of observation; what is reported covers the last one to two windows. */
const WINDOW_MS = 10_000;
const RESOLUTION_MS = 10;

/** How late the event loop runs, as a recent quantile instead of one over the whole life of the process. */
export class LoopDelay {
  private current: IntervalHistogram = begin();
  /** Of the window before; it does not sample any more. */
  private previous: IntervalHistogram = this.current;
  private readonly timer: NodeJS.Timeout;

  constructor() {
    this.timer = setInterval(() => this.turn(), WINDOW_MS);
    this.timer.unref();
  }

  /** Milliseconds of delay at a percentile of the last ten to twenty seconds; the sampling interval is taken off. */
  percentileMs(percentile: number): number {
    const raw = Math.max(this.current.percentile(percentile), this.previous.percentile(percentile));
    return Math.max(0, raw / 1e6 - RESOLUTION_MS);
  }

  /** Forgets what was seen so far: loading the program and the state is no delay that anybody waited for. */
  restart(): void {
    this.turn();
    this.turn();
  }

  stop(): void {
    clearInterval(this.timer);
    this.current.disable();
  }

  private turn(): void {
    // Only one samples at a time: a sampling histogram wakes the process a hundred times a second.
    this.current.disable();
    this.previous = this.current;
    this.current = begin();
  }
}

function begin(): IntervalHistogram {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return histogram;
}
