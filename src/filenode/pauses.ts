import type { CoordinatorClient } from "../coordinator/api.js";
import type { Runtime } from "../runtime/api.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";

/** How long figures wait for more of their like: after a death thousands of clients come back at once. */
const GATHER_MS = 50;
/** After its first answer a client has this long to say how long it waited. */
const REPORT_WITHIN_MS = 150;
/** A client that asks for nothing once it is back: its return counts as its first answer. */
const IDLE_AFTER_MS = 500;

const TAKEOVERS_KEPT = 16;

/** What the pauses need of the node around them. */
export interface PausesEnv {
  readonly runtime: Runtime;
  readonly coordinator: CoordinatorClient;
  readonly node: string;
  incarnation(): number;
}

/** A session that came here and whose client has not had an answer yet. Times on the monotonic clock. */
interface Arrival {
  readonly epoch: number;
  readonly movedMs: number;
  /** When the client was back; zero: not yet. */
  backMs: number;
  /** From the client's last answer to the move; zero: not known, one: there was none, the answer came after the move. */
  leadUs: number;
  /** From here reclaim counts: the move, or the client's last answer from the former owner if that came later. */
  waitingSinceMs: number;
  /** From there to the first answered call. */
  reclaimUs: number;
}

/** Milliseconds of a monotonic clock as whole microseconds, at least one: zero means "not known". */
export function microseconds(ms: number): number {
  return Math.max(1, Math.round(ms * 1_000));
}

/**
 * Measures what moves of sessions cost their clients, as this node can see it, and notes it in the flight recorder:
 * as the former owner how long its release took, as the new one how long it was until the client had its first answer.
 * Durations only, each by one clock. Figures that are lost with a node are missing in the record; nothing waits for them.
 */
export class Pauses {
  private readonly arrivals = new Map<number, Arrival>();
  /** When the latest takeovers were applied here, by the number of their record. */
  private readonly takeovers = new Map<number, number>();
  private gathered: v1.ISessionPause[] = [];
  private sending = false;

  constructor(private readonly env: PausesEnv) {}

  /** This node has let a session go, under the epoch of its new owner. */
  released(sessionId: number, epoch: number, tookMs: number): void {
    if (epoch !== 0) this.note({ sessionId, epoch, reassignUs: microseconds(tookMs) });
  }

  /** A takeover was applied here: a client may settle at this node although its session was given to another. */
  takeover(failoverId: number): void {
    if (this.takeovers.has(failoverId)) return;
    this.takeovers.set(failoverId, this.env.runtime.clock.monotonicMs());
    const oldest = this.takeovers.keys().next().value;
    if (this.takeovers.size > TAKEOVERS_KEPT && oldest !== undefined) this.takeovers.delete(oldest);
  }

  /** A session came here, now or with a takeover that was applied before. */
  arrived(sessionId: number, epoch: number, atMs?: number): void {
    const movedMs = atMs ?? this.env.runtime.clock.monotonicMs();
    const arrival = { epoch, movedMs, backMs: 0, leadUs: 0, waitingSinceMs: movedMs, reclaimUs: 0 };
    this.arrivals.set(sessionId, arrival);
  }

  /** Its client came at `cameMs`, and said how long it had then waited by its own clock; zero: it was not waiting. */
  clientBack(record: v1.ISessionRecord, cameMs: number, silentUs: number): void {
    const sessionId = record.id ?? 0;
    // The answer may have been quicker than the event of the move.
    if (record.movedBy && !this.arrivals.has(sessionId))
      this.arrived(sessionId, record.epoch ?? 0, this.takeovers.get(record.movedBy));
    const arrival = this.arrivals.get(sessionId);
    if (arrival === undefined || arrival.backMs !== 0) return;
    const { clock, scheduler } = this.env.runtime;
    arrival.backMs = clock.monotonicMs();
    if (silentUs > 0) {
      const lastAnswerMs = cameMs - silentUs / 1_000;
      arrival.leadUs = microseconds(arrival.movedMs - lastAnswerMs);
      arrival.waitingSinceMs = Math.max(arrival.movedMs, lastAnswerMs);
    }
    scheduler.after(IDLE_AFTER_MS, () => {
      if (this.arrivals.get(sessionId) === arrival && arrival.reclaimUs === 0)
        this.answeredAt(sessionId, arrival.backMs);
    });
  }

  /** A call of the session was answered. */
  answered(sessionId: number): void {
    if (this.arrivals.size > 0) this.answeredAt(sessionId, this.env.runtime.clock.monotonicMs());
  }

  private answeredAt(sessionId: number, atMs: number): void {
    const arrival = this.arrivals.get(sessionId);
    if (arrival === undefined || arrival.backMs === 0 || arrival.reclaimUs !== 0) return;
    arrival.reclaimUs = microseconds(atMs - arrival.waitingSinceMs);
    this.env.runtime.scheduler.after(REPORT_WITHIN_MS, () => {
      if (this.arrivals.get(sessionId) === arrival) this.reported(sessionId, 0);
    });
  }

  /** The client says how long it waited, by its own clock; zero: it has said nothing in time. */
  reported(sessionId: number, gapUs: number): void {
    const arrival = this.arrivals.get(sessionId);
    if (arrival === undefined || arrival.reclaimUs === 0) return;
    this.arrivals.delete(sessionId);
    const { epoch, leadUs, reclaimUs } = arrival;
    this.note({ sessionId, epoch, leadUs, reclaimUs, clientGapUs: gapUs });
  }

  /** The session is not here any more. */
  left(sessionId: number): void {
    this.arrivals.delete(sessionId);
  }

  private note(pause: v1.ISessionPause): void {
    this.gathered.push(pause);
    if (this.sending) return;
    this.sending = true;
    this.env.runtime.scheduler.after(GATHER_MS, () => void this.send());
  }

  private async send(): Promise<void> {
    while (this.gathered.length > 0) {
      const pauses = this.gathered.splice(0, limits.batchCommandsMax);
      const result = await this.env.coordinator.execute({
        notePauses: { node: this.env.node, nodeIncarnation: this.env.incarnation(), pauses },
      });
      if (result.error)
        this.env.runtime.log.info({ error: result.error.message }, "pauses of moves were not recorded");
    }
    this.sending = false;
  }
}
