import type { Index } from "../raft/index.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";

interface Waiter {
  readonly deadlineMs: number;
  readonly resolve: (index: Index) => void;
  readonly reject: (error: HoldfastError) => void;
}

/** Barriers that share one read position. */
interface Round {
  readonly waiters: Waiter[];
  /** Zero until the leadership was confirmed. */
  index: Index;
}

/**
 * Read barriers. All that are asked for in one turn share one position; a failed round is asked for again under a new
 * position (lesson L40) until its waiters' deadlines. A confirmed round waits until the local state has caught up.
 */
export class ReadBarriers {
  private next: Waiter[] = [];
  private readonly asked = new Map<number, Round>();
  private confirmed: Round[] = [];
  private earliestDeadlineMs = Infinity;

  /**
   * `request` is the number before the first round's: one that no earlier process of this member can have come to. A leader
   * may hold a read for as long as nobody confirms it, and answer the process that has followed the one that asked.
   */
  constructor(private request: number) {}

  get size(): number {
    let size = this.next.length;
    for (const round of this.asked.values()) size += round.waiters.length;
    for (const round of this.confirmed) size += round.waiters.length;
    return size;
  }

  /** Resolves with the index that the local state has reached; rejects with DEADLINE_EXCEEDED, NO_QUORUM or STOPPING. */
  add(deadlineMs: number): Promise<Index> {
    if (deadlineMs < this.earliestDeadlineMs) this.earliestDeadlineMs = deadlineMs;
    return new Promise<Index>((resolve, reject) => {
      this.next.push({ deadlineMs, resolve, reject });
    });
  }

  get hasNew(): boolean {
    return this.next.length > 0;
  }

  /** Starts a round for everything that waits; answers the number to give to the core. */
  startRound(): number {
    const request = ++this.request;
    this.asked.set(request, { waiters: this.next, index: 0 });
    this.next = [];
    return request;
  }

  /** The core has confirmed a round: it may be answered at `index`. */
  ready(request: number, index: Index, appliedIndex: Index): void {
    const round = this.asked.get(request);
    if (round === undefined) return;
    this.asked.delete(request);
    round.index = index;
    if (index <= appliedIndex) this.answer(round, appliedIndex);
    else this.confirmed.push(round);
  }

  /** The core could not confirm it: its waiters go into the next round. */
  failed(request: number): void {
    const round = this.asked.get(request);
    if (round === undefined) return;
    this.asked.delete(request);
    this.next.push(...round.waiters);
  }

  /** The local state has moved on. */
  applied(appliedIndex: Index): void {
    if (this.confirmed.length === 0) return;
    const kept: Round[] = [];
    for (const round of this.confirmed) {
      if (round.index <= appliedIndex) this.answer(round, appliedIndex);
      else kept.push(round);
    }
    this.confirmed = kept;
  }

  private answer(round: Round, appliedIndex: Index): void {
    for (const waiter of round.waiters) waiter.resolve(appliedIndex);
  }

  /** Rejects what has waited too long; `why` says what it waited for. */
  expire(nowMs: number, why: () => HoldfastError): void {
    if (nowMs < this.earliestDeadlineMs) return;
    let earliest = Infinity;
    const sift = (waiters: Waiter[]): Waiter[] =>
      waiters.filter((waiter) => {
        if (waiter.deadlineMs <= nowMs) {
          waiter.reject(why());
          return false;
        }
        if (waiter.deadlineMs < earliest) earliest = waiter.deadlineMs;
        return true;
      });
    this.next = sift(this.next);
    for (const [request, round] of this.asked) {
      const waiters = sift(round.waiters);
      if (waiters.length === 0) this.asked.delete(request);
      else this.asked.set(request, { waiters, index: round.index });
    }
    this.confirmed = this.confirmed
      .map((round) => ({ waiters: sift(round.waiters), index: round.index }))
      .filter((round) => round.waiters.length > 0);
    this.earliestDeadlineMs = earliest;
  }

  close(): void {
    this.expire(Infinity, () => new HoldfastError(ErrorCode.STOPPING, "this member is stopping"));
  }
}
