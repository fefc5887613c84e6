import { connect, ErrorCode, type Handle, HoldfastError, type Session } from "../../client/index.js";
import { sleep } from "./wait.js";

const CONTENT = new TextEncoder().encode("holdfast check\n");
const RANGE = { offset: 0n, length: 1n };

/** What one harm cost. */
export interface Measured {
  /** Longest time between two answers in a row, from the harm on until it was over and answered again. */
  readonly pauseMs: number;
  /** The pause went past the budget: probing was given up there. */
  readonly exceeded: boolean;
  /** It did so before the harm, which was not done then. */
  readonly undisturbed: boolean;
}

/** For a round before the harm: what it took is compared with the budget, and not cut off there. */
const UNDISTURBED_WITHIN_MS = 10_000;

/**
 * A client that does what clients do, without a pause: lock, read, unlock on a file of its own. Locks need the leader and a
 * majority, reads need the owner, all need the session where it is: whatever stalls shows between two answers.
 */
export class Probe {
  private constructor(
    readonly session: Session,
    private readonly handle: Handle,
  ) {}

  /** Makes the probe file in the share; it goes with the probe. */
  static async open(endpoints: readonly string[], share: string, timeoutMs: number): Promise<Probe> {
    const session = await connect({
      nodes: endpoints,
      clientName: `holdfast-check/${process.pid}`,
      deadlineMs: timeoutMs,
    });
    try {
      const handle = await session.open(`${share}:/holdfast-check-${process.pid}-${session.id}`, {
        disposition: "create",
        deleteOnClose: true,
        access: "all",
      });
      await handle.write(0, CONTENT);
      return new Probe(session, handle);
    } catch (error) {
      await session.close({ deadlineMs: 2_000 });
      throw error;
    }
  }

  /**
   * Probes while `harm` runs, and until one more round is answered that began after it. Where a round takes longer than the
   * budget already before, nothing is harmed: that is the answer. Rejects with what `harm` rejects with, and with an answer
   * that is wrong.
   */
  async during(harm: () => Promise<void>, budgetMs: number): Promise<Measured> {
    let last = performance.now();
    let pauseMs = 0;
    let over = false;
    let failed: unknown = null;
    const answered = () => {
      const now = performance.now();
      pauseMs = Math.max(pauseMs, now - last);
      last = now;
    };
    await this.round(Math.max(budgetMs, UNDISTURBED_WITHIN_MS), answered);
    if (pauseMs > budgetMs) return { pauseMs, exceeded: true, undisturbed: true };
    pauseMs = 0;
    const harming = harm().then(
      () => {
        over = true;
      },
      (error: unknown) => {
        failed = error;
        over = true;
      },
    );
    const exceeded = await this.rounds(budgetMs, answered, () => over);
    if (exceeded) pauseMs = Math.max(pauseMs, performance.now() - last);
    await harming;
    if (failed !== null && !exceeded) throw failed;
    return { pauseMs, exceeded: exceeded || pauseMs > budgetMs, undisturbed: false };
  }

  /** Rounds until one has begun after `over`; true when one was not answered within the budget. */
  private async rounds(budgetMs: number, answered: () => void, over: () => boolean): Promise<boolean> {
    for (let ended = false; ; ) {
      ended = over();
      try {
        await this.round(budgetMs, answered);
      } catch (thrown) {
        const error = HoldfastError.from(thrown);
        if (error.code === ErrorCode.DEADLINE_EXCEEDED || error.code === ErrorCode.OUTCOME_UNKNOWN)
          return true;
        throw error;
      }
      if (ended) return false;
      // Gives the timers of this process their turn; far below what is measured.
      await sleep(1);
    }
  }

  private async round(budgetMs: number, answered: () => void): Promise<void> {
    const options = { deadlineMs: budgetMs };
    await this.handle.lock(RANGE, options);
    answered();
    const bytes = await this.handle.read(0, CONTENT.length, options);
    answered();
    if (!Buffer.from(bytes).equals(CONTENT))
      throw new HoldfastError(ErrorCode.INTERNAL, "the probe file does not read as it was written", {
        next: "keep the logs of all nodes",
      });
    await this.handle.unlock(RANGE, options);
    answered();
  }

  /** Removes the probe file and ends the session; without a cluster both are left to the session's timeout. */
  async close(): Promise<void> {
    await this.handle.close({ deadlineMs: 5_000 }).catch(() => undefined);
    await this.session.close({ deadlineMs: 2_000 });
  }
}
