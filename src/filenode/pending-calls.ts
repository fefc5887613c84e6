import type { v1 } from "../wire/index.js";

const EARLY_MAX = 1024;

interface Waiting {
  readonly sessionId: number;
  readonly wake: (result: v1.ICommandResult | null) => void;
}

/**
 * Calls that the state has parked (a call and its repeat may wait for the same), waiting for the event that ends them. The event may overtake the answer that says
 * "parked", so ends that nobody waits for yet are kept for a while.
 */
export class PendingCalls {
  private readonly waiting = new Map<number, Waiting[]>();
  private readonly early = new Map<number, v1.ICommandResult>();

  /** Resolves with the call's result; null when its event will not come here and it must be asked for again. */
  wait(pendingId: number, sessionId: number): Promise<v1.ICommandResult | null> {
    const result = this.early.get(pendingId);
    if (result !== undefined) {
      this.early.delete(pendingId);
      return Promise.resolve(result);
    }
    return new Promise((wake) => {
      const others = this.waiting.get(pendingId);
      if (others === undefined) this.waiting.set(pendingId, [{ sessionId, wake }]);
      else others.push({ sessionId, wake });
    });
  }

  /** Answers false when nobody waits for it, yet. */
  done(pendingId: number, result: v1.ICommandResult): boolean {
    const wakes = this.waiting.get(pendingId);
    if (wakes !== undefined) {
      this.waiting.delete(pendingId);
      for (const { wake } of wakes) wake(result);
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

  /** The session has left this node, and the ends of its calls go elsewhere: they ask again, and are refused. */
  sessionLeft(sessionId: number): void {
    for (const [pendingId, waiting] of this.waiting) {
      const left = waiting.filter((one) => one.sessionId !== sessionId);
      if (left.length === waiting.length) continue;
      if (left.length === 0) this.waiting.delete(pendingId);
      else this.waiting.set(pendingId, left);
      for (const one of waiting) if (one.sessionId === sessionId) one.wake(null);
    }
  }

  /** Events were lost: everybody asks again. */
  resync(): void {
    const wakes = [...this.waiting.values()].flat();
    this.waiting.clear();
    this.early.clear();
    for (const { wake } of wakes) wake(null);
  }
}
