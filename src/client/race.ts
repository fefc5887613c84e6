import type { Random, Scheduler, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";

/** One try at one address. `cancel` must leave nothing behind, at whatever point it comes. */
export interface Attempt {
  cancel(): void;
}

/** Starts a try; calls exactly one of the two unless it is cancelled. */
export type StartAttempt<T> = (
  address: string,
  done: { won(result: T): void; failed(error: HoldfastError): void },
) => Attempt;

/** How a race runs. */
export interface RaceOptions {
  /** In order of preference; duplicates count once. */
  readonly addresses: readonly string[];
  readonly staggerMs: number;
  readonly fanout: number;
  /**
   * Once every other address has failed, the ones that are still silent get this long, counted from the start. A stopped
   * owner must not hold up the next look at the nodes that are about to take over from it.
   */
  readonly patienceMs: number;
  /** True ends the race at once: no other node can answer differently. */
  readonly isFinal: (error: HoldfastError) => boolean;
}

/** How a race ended. */
export type RaceOutcome<T> =
  | { readonly result: T; readonly address: string }
  | { readonly result: null; readonly errors: ReadonlyMap<string, HoldfastError> };

/**
 * Parallel connection (semantics.md D1): the first address at once; after a short stagger a random subset of the rest
 * beside it; the first that completes its attempt wins and all others are cancelled. A failure starts the next address
 * without waiting for the stagger, so a refused endpoint costs no time and a blackholed one costs the stagger.
 */
export class ConnectRace<T> {
  readonly #options: RaceOptions;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #start: StartAttempt<T>;
  readonly #done: (outcome: RaceOutcome<T>) => void;
  readonly #running = new Map<string, Attempt>();
  readonly #errors = new Map<string, HoldfastError>();
  readonly #waiting: string[];
  #timer: Timer | null = null;
  #patience: Timer | null = null;
  #patienceIsOver = false;
  #over = false;

  constructor(
    world: { readonly scheduler: Scheduler; readonly random: Random },
    options: RaceOptions,
    start: StartAttempt<T>,
    done: (outcome: RaceOutcome<T>) => void,
  ) {
    this.#scheduler = world.scheduler;
    this.#random = world.random;
    this.#options = options;
    this.#start = start;
    this.#done = done;
    this.#waiting = [...new Set(options.addresses)];
  }

  /** Begins. The outcome never arrives inside this call's own stack unless an attempt ends inside its start. */
  run(): void {
    if (this.#waiting.length === 0) return this.#finish({ result: null, errors: this.#errors });
    this.#patience = this.#scheduler.after(this.#options.patienceMs, () => {
      this.#patienceIsOver = true;
      this.#giveUpIfStuck();
    });
    this.#launch(this.#waiting.shift() as string);
    this.#arm();
  }

  /** Ends the race without an outcome. */
  cancel(): void {
    if (!this.#over) this.#stop();
  }

  /** Somebody named an address that is likely to be right (the owner): it goes next, now, if not tried yet. */
  suggest(address: string): void {
    if (this.#over || this.#running.has(address) || this.#errors.has(address)) return;
    const at = this.#waiting.indexOf(address);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#launch(address);
  }

  #arm(): void {
    if (this.#over || this.#waiting.length === 0) return;
    this.#timer = this.#scheduler.after(this.#options.staggerMs, () => this.#widen());
  }

  #widen(): void {
    for (let i = 0; i < this.#options.fanout && !this.#over && this.#waiting.length > 0; i++) {
      const pick = this.#random.below(this.#waiting.length);
      this.#launch(this.#waiting.splice(pick, 1)[0] as string);
    }
    this.#arm();
  }

  #launch(address: string): void {
    let ended = false;
    const attempt = this.#start(address, {
      won: (result) => {
        if (ended || this.#over) return;
        ended = true;
        this.#running.delete(address);
        this.#finish({ result, address });
      },
      failed: (error) => {
        if (ended || this.#over) return;
        ended = true;
        this.#running.delete(address);
        this.#failed(address, error);
      },
    });
    if (!ended && !this.#over) this.#running.set(address, attempt);
  }

  #failed(address: string, error: HoldfastError): void {
    this.#errors.set(address, error);
    const next = this.#options.isFinal(error) ? undefined : this.#waiting.shift();
    if (next !== undefined) return this.#launch(next);
    if (this.#options.isFinal(error) || this.#running.size === 0)
      this.#finish({ result: null, errors: this.#errors });
    else this.#giveUpIfStuck();
  }

  /** Ends the race when nobody is left to try and those who answered have all refused. */
  #giveUpIfStuck(): void {
    if (this.#over || !this.#patienceIsOver || this.#waiting.length > 0 || this.#errors.size === 0) return;
    for (const address of this.#running.keys())
      this.#errors.set(address, new HoldfastError(ErrorCode.NOT_READY, "no answer yet"));
    this.#finish({ result: null, errors: this.#errors });
  }

  #finish(outcome: RaceOutcome<T>): void {
    this.#stop();
    this.#done(outcome);
  }

  #stop(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#patience?.cancel();
    for (const attempt of this.#running.values()) attempt.cancel();
    this.#running.clear();
  }
}

/** One sentence for a caller that could not connect anywhere: every address with its reason. */
export function nowhere(errors: ReadonlyMap<string, HoldfastError>): HoldfastError {
  const codes = [...errors.values()];
  const final = codes.find((error) => error.code === ErrorCode.UNSUPPORTED_VERSION) ?? codes[0];
  const parts = [...errors].map(([address, error]) => {
    const code = error.code === final?.code ? "" : `${error.codeName} `;
    return `${address}: ${code}${withoutPrefix(error.message, `${address}: `)}`;
  });
  return new HoldfastError(
    final?.code ?? ErrorCode.NOT_READY,
    `no node takes the session: ${parts.join("; ")}`,
    {
      next: "check the addresses, and `holdfast status` for the health of the cluster",
    },
  );
}

function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}
