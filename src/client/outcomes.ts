import type { Clock, Scheduler } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";

/**
 * What became of a call whose caller had stopped waiting. `not-done`: it never reached the log and never will; the caller
 * may ask anew.
 */
export type Outcome =
  | { readonly kind: "done"; readonly response: v1.IFileResponse }
  | { readonly kind: "failed"; readonly error: HoldfastError }
  | { readonly kind: "not-done" };

/** Outcomes kept for callers that ask late. */
const OUTCOMES_KEPT = 1_024;

/** Follows up calls that ended as OUTCOME_UNKNOWN, by request id. */
export class Outcomes {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #known = new Map<string, Outcome>();
  readonly #open = new Map<string, ((outcome: Outcome) => void)[]>();

  constructor(world: { readonly clock: Clock; readonly scheduler: Scheduler }) {
    this.#clock = world.clock;
    this.#scheduler = world.scheduler;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** From now on the outcome of `requestId` is awaited. */
  expect(requestId: string): void {
    if (!this.#open.has(requestId)) this.#open.set(requestId, []);
  }

  /** It is known now. */
  settle(requestId: string, outcome: Outcome): void {
    const waiters = this.#open.get(requestId) ?? [];
    this.#open.delete(requestId);
    this.#known.set(requestId, outcome);
    if (this.#known.size > OUTCOMES_KEPT) this.#known.delete(this.#known.keys().next().value as string);
    for (const waiter of waiters) waiter(outcome);
  }

  /** Nobody will ever know: the session is gone. Those who wait get OUTCOME_UNKNOWN. */
  abandon(): void {
    for (const requestId of [...this.#open.keys()])
      this.settle(requestId, { kind: "failed", error: unknownOutcome(requestId, "the session is gone") });
  }

  /** Resolves with the outcome; rejects with OUTCOME_UNKNOWN when it is still open after `deadlineMs`. */
  wait(requestId: string, deadlineMs: number): Promise<Outcome> {
    const known = this.#known.get(requestId);
    if (known !== undefined) return Promise.resolve(known);
    const waiters = this.#open.get(requestId);
    if (waiters === undefined)
      return Promise.reject(
        new HoldfastError(
          ErrorCode.INVALID_ARGUMENT,
          `request ${requestId} is not one whose outcome is open`,
          {
            next: "pass extras.requestId of an OUTCOME_UNKNOWN error of this session",
          },
        ),
      );
    const untilMs = this.#clock.monotonicMs() + deadlineMs;
    return new Promise((resolve, reject) => {
      const timer = Number.isFinite(untilMs)
        ? this.#scheduler.after(deadlineMs, () =>
            reject(unknownOutcome(requestId, `still open after ${deadlineMs} ms`)),
          )
        : null;
      waiters.push((outcome) => {
        timer?.cancel();
        resolve(outcome);
      });
    });
  }
}

/** The typed third outcome: may or may not have happened. */
export function unknownOutcome(requestId: string, why: string): HoldfastError {
  const next =
    requestId === ""
      ? "repeat it: a write at an offset may be done twice"
      : `ask again with session.resolve("${requestId}")`;
  return new HoldfastError(ErrorCode.OUTCOME_UNKNOWN, `it may or may not have happened: ${why}`, {
    next,
    ...(requestId === "" ? {} : { requestId }),
  });
}
