import type { Clock } from "../../runtime/api.js";
import type { Simulation } from "./simulation.js";

/**
 * A node's own idea of time: virtual time run through a rate (drift) and, for the wall clock, an offset that may jump.
 * The monotonic clock never goes back; it may leap forward, as after a suspended machine wakes up.
 */
export class SimClock implements Clock {
  private baseUs: number;
  private baseLocalUs: number;
  private wallOffsetMs: number;

  constructor(
    private readonly sim: Simulation,
    private rate: number,
    /** Where the monotonic clock starts: nodes do not share an epoch. */
    startMs: number,
  ) {
    this.baseUs = sim.nowUs;
    this.baseLocalUs = startMs * 1000;
    this.wallOffsetMs = 1_800_000_000_000;
  }

  /** Local microseconds. */
  private localUs(): number {
    return this.baseLocalUs + (this.sim.nowUs - this.baseUs) * this.rate;
  }

  monotonicMs(): number {
    return this.localUs() / 1000;
  }

  wallMs(): number {
    return this.wallOffsetMs + Math.floor(this.sim.nowUs / 1000);
  }

  /** Virtual microseconds that pass while this clock counts `localMs`. */
  virtualUs(localMs: number): number {
    return (localMs * 1000) / this.rate;
  }

  setRate(rate: number): void {
    this.baseLocalUs = this.localUs();
    this.baseUs = this.sim.nowUs;
    this.rate = rate;
  }

  /** The monotonic clock leaps forward. */
  leap(forwardMs: number): void {
    this.baseLocalUs = this.localUs() + Math.max(0, forwardMs) * 1000;
    this.baseUs = this.sim.nowUs;
  }

  /** The wall clock is set, in either direction. */
  jumpWall(byMs: number): void {
    this.wallOffsetMs += byMs;
  }
}
