import type { Runtime, Timer } from "../runtime/api.js";
import { HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { Backoff } from "./backoff.js";
import type { HandleState } from "./handle-state.js";
import { reactionTo } from "./retry.js";

/** What taking up handles asks of the session around it. */
export interface ReclaimerOwner {
  /** Sends a frame on the present link; no answer comes once the link is gone. */
  send(body: v1.IFileRequest, answered: (response: v1.IFileResponse) => void): void;
  /** The cluster refuses the handle for good. */
  lost(handle: HandleState, error: HoldfastError): void;
  /** The handle is in another session by now, as the error says. */
  moved(handle: HandleState, error: HoldfastError): void;
  /** The node is not the owner (any more). */
  relocate(error: HoldfastError): void;
  /** All handles were dealt with. */
  done(): void;
}

/** Reconnects on the wire at once: enough to fill a round trip, few enough to leave room for pings. */
const WINDOW = 256;
const PAUSE_FIRST_MS = 10;
const PAUSE_MAX_MS = 250;

/**
 * Takes up every handle on a new link (semantics.md A6) before any call goes out on it. A refusal for the moment is asked
 * again; a refusal for good loses that handle and no other.
 */
export class Reclaimer {
  readonly #runtime: Runtime;
  readonly #owner: ReclaimerOwner;
  readonly #waiting: HandleState[];
  readonly #answered: ReadonlyMap<HandleState | undefined, v1.IFileResponse>;
  readonly #timers = new Set<Timer>();
  #open = 0;
  #stopped = false;

  /** `answered`: what the session step has said about handles already. */
  constructor(
    runtime: Runtime,
    handles: readonly HandleState[],
    answered: ReadonlyMap<HandleState | undefined, v1.IFileResponse>,
    owner: ReclaimerOwner,
  ) {
    this.#runtime = runtime;
    this.#owner = owner;
    this.#answered = answered;
    this.#waiting = [...handles].reverse();
  }

  run(): void {
    while (!this.#stopped && this.#open < WINDOW && this.#waiting.length > 0)
      this.#take(this.#waiting.pop() as HandleState);
    if (!this.#stopped && this.#open === 0) {
      this.#stopped = true;
      this.#owner.done();
    }
  }

  /** The link is gone. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #take(handle: HandleState): void {
    const answer = this.#answered.get(handle);
    if (answer?.open) return handle.reconnected(answer.open);
    this.#open += 1;
    if (answer?.error) this.#refused(handle, HoldfastError.fromDetail(answer.error), null);
    else this.#ask(handle, null);
  }

  #ask(handle: HandleState, backoff: Backoff | null): void {
    this.#owner.send({ reconnect: handle.reconnectBody() }, (response) => {
      if (this.#stopped) return;
      if (response.error) return this.#refused(handle, HoldfastError.fromDetail(response.error), backoff);
      if (response.open) handle.reconnected(response.open);
      this.#finished();
    });
  }

  #refused(handle: HandleState, error: HoldfastError, backoff: Backoff | null): void {
    if (error.extras.sessionId !== undefined) {
      this.#owner.moved(handle, error);
      return this.#finished();
    }
    const reaction = reactionTo(error.code);
    if (reaction === "elsewhere") {
      this.stop();
      return this.#owner.relocate(error);
    }
    if (reaction !== "again" && reaction !== "again-new") {
      this.#owner.lost(handle, error);
      return this.#finished();
    }
    const pauses = backoff ?? new Backoff(this.#runtime.random, PAUSE_FIRST_MS, PAUSE_MAX_MS);
    const pauseMs = Math.max(error.extras.retryAfterMs ?? 0, pauses.next());
    const timer = this.#runtime.scheduler.after(pauseMs, () => {
      this.#timers.delete(timer);
      if (!this.#stopped) this.#ask(handle, pauses);
    });
    this.#timers.add(timer);
  }

  #finished(): void {
    this.#open -= 1;
    this.run();
  }
}
