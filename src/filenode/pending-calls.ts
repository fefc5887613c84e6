import type { v1 } from "../wire/index.js";

const EARLY_MAX = 1024;

/**
 * Calls that the state has parked (a call and its repeat may wait for the same), waiting for the event that ends them. The event may overtake the answer that says
 * "parked", so ends that nobody waits for yet are kept for a while.
 */
export class PendingCalls {
  private readonly waiting = new Map<number, ((result: v1.ICommandResult | null) => void)[]>();
  private readonly early = new Map<number, v1.ICommandResult>();

  /** Resolves with the call's result; null when events were lost and it must be asked for again. */
  wait(pendingId: number): Promise<v1.ICommandResult | null> {
    const result = this.early.get(pendingId);
    if (result !== undefined) {
      this.early.delete(pendingId);
      return Promise.resolve(result);
    }
    return new Promise((resolve) => {
      const others = this.waiting.get(pendingId);
      if (others === undefined) this.waiting.set(pendingId, [resolve]);
      else others.push(resolve);
    });
  }

  /** Answers false when nobody waits for it, yet. */
  done(pendingId: number, result: v1.ICommandResult): boolean {
    const wakes = this.waiting.get(pendingId);
    if (wakes !== undefined) {
      this.waiting.delete(pendingId);
      for (const wake of wakes) wake(result);
      return true;
    }
    this.early.set(pendingId, result);
    if (this.early.size > EARLY_MAX) {
      const oldest = this.early.keys().next().value;
      if (oldest !== undefined) this.early.delete(oldest);
    }
    return false;
  }

  /** True if nobody came for this end; forgets it. */
  abandoned(pendingId: number): boolean {
    return this.early.delete(pendingId);
  }

  /** Events were lost: everybody asks again. */
  resync(): void {
    const wakes = [...this.waiting.values()].flat();
    this.waiting.clear();
    this.early.clear();
    for (const wake of wakes) wake(null);
  }
}
