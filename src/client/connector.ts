import type { Runtime, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { type Answered, LinkAttempt } from "./attempt.js";
import type { Endpoints } from "./endpoints.js";
import { FileLink } from "./link.js";
import type { ClientSettings } from "./options.js";
import { ConnectRace, type RaceOutcome } from "./race.js";
import { isFatal, refusesOpening, sessionIsGone } from "./retry.js";
import type { ClientNetwork } from "./transport-api.js";

/** A node that has taken the session on this link. */
export interface Attached {
  readonly link: FileLink;
  readonly info: v1.ISessionInfo;
}

/** What is said when a session is taken up. */
export interface ResumeStep {
  readonly context: v1.ICallContext;
  readonly reconnects: v1.IReconnectRequest[];
  /** Read when the frame goes out: a dial may have come before it. */
  readonly silentUs: () => number;
}

/** How one round over all nodes ended. */
export type RoundOutcome =
  | { readonly attached: Attached }
  | { readonly attached: null; readonly errors: ReadonlyMap<string, HoldfastError> };

/** A stream to where the session is about to go. */
interface Prepared {
  readonly address: string;
  /** Null while it is being dialled. */
  link: FileLink | null;
  timer: Timer | null;
}

/** A prepared stream that nobody needed is closed after this long: the move was called off, or found another way. */
const PREPARED_MS = 10_000;

/** A call id for the frames before the session's own ids begin. */
const HANDSHAKE_ID = 1;

/**
 * Finds a node that takes the session: one round over all known addresses.
 *
 * A new session is created only after a node was chosen: the race is about a ping, and the winner alone gets the open.
 * So a losing node has nothing to forget. Taking up an existing session changes nothing at a node that does not become
 * its owner, so there the session step itself is raced.
 */
export class Connector {
  readonly #network: ClientNetwork;
  readonly #runtime: Runtime;
  readonly #settings: ClientSettings;
  readonly #endpoints: Endpoints;
  #current: { cancel(): void; suggest?(address: string): void } | null = null;
  #prepared: Prepared | null = null;
  /** Rounds since the last success: each is more patient with silent nodes than the one before. */
  #rounds = 0;

  constructor(network: ClientNetwork, runtime: Runtime, settings: ClientSettings, endpoints: Endpoints) {
    this.#network = network;
    this.#runtime = runtime;
    this.#settings = settings;
    this.#endpoints = endpoints;
  }

  /** One round for a new session. */
  open(request: v1.IOpenSessionRequest, done: (outcome: RoundOutcome) => void): void {
    this.#openAmong(request, this.#endpoints.order(), new Map(), done);
  }

  /** One round for a session that exists; the handles are taken up with it by nodes that can. */
  resume(step: ResumeStep, done: (outcome: RoundOutcome) => void): void {
    const { context, reconnects, silentUs } = step;
    const first = () => ({
      id: HANDSHAKE_ID,
      attach: { resume: { context, silentUs: silentUs() }, reconnects },
    });
    this.#race(this.#endpoints.order(), first, (outcome) => {
      if (outcome.result === null) return done({ attached: null, errors: outcome.errors });
      this.#rounds = 0;
      done(settle(outcome.result));
    });
  }

  /** Tries this address now, beside what is under way, unless this round has tried it already. */
  suggest(address: string): void {
    this.#current?.suggest?.(address);
  }

  /** The session is about to go there: a stream is opened now, so that the way costs nothing when it is needed. */
  prepare(address: string): void {
    const { attemptTimeoutMs } = this.#settings;
    if (this.#prepared?.address === address) return;
    this.#forgetPrepared();
    const prepared: Prepared = { address, link: null, timer: null };
    this.#prepared = prepared;
    const gone = () => {
      if (this.#prepared === prepared) this.#prepared = null;
    };
    FileLink.open(this.#network, address, attemptTimeoutMs, { onMessage() {}, onClosed: gone }).then(
      (link) => {
        if (this.#prepared !== prepared) return link.close();
        prepared.link = link;
        prepared.timer = this.#runtime.scheduler.after(PREPARED_MS, () => this.#forgetPrepared());
      },
      gone,
    );
  }

  /** The open stream to this address, if there is one; it is the caller's then. */
  #takePrepared(address: string): FileLink | null {
    const prepared = this.#prepared;
    if (prepared?.address !== address || prepared.link === null) return null;
    this.#prepared = null;
    prepared.timer?.cancel();
    return prepared.link;
  }

  #forgetPrepared(): void {
    const prepared = this.#prepared;
    this.#prepared = null;
    prepared?.timer?.cancel();
    prepared?.link?.close();
  }

  /** Ends a round without an outcome, and drops what was prepared. */
  cancel(): void {
    this.#forgetPrepared();
    this.#current?.cancel();
    this.#current = null;
  }

  #openAmong(
    request: v1.IOpenSessionRequest,
    addresses: readonly string[],
    errors: Map<string, HoldfastError>,
    done: (outcome: RoundOutcome) => void,
  ): void {
    this.#race(addresses, { id: HANDSHAKE_ID, ping: {} }, (outcome) => {
      if (outcome.result === null) {
        for (const [address, error] of outcome.errors) errors.set(address, error);
        return done({ attached: null, errors });
      }
      const { link } = outcome.result;
      this.#current = new LinkAttempt(
        this.#network,
        this.#runtime,
        {
          address: link.address,
          timeoutMs: this.#settings.attemptTimeoutMs,
          first: { id: HANDSHAKE_ID + 1, attach: { open: request } },
          link,
        },
        {
          won: (answered) => done(settle(answered)),
          failed: (error) => {
            errors.set(link.address, error);
            if (refusesOpening(error.code)) return done({ attached: null, errors });
            const left = addresses.filter((a) => a !== link.address);
            this.#openAmong(request, left, errors, done);
          },
        },
      );
    });
  }

  #race(
    addresses: readonly string[],
    first: v1.IFileRequest | (() => v1.IFileRequest),
    done: (outcome: RaceOutcome<Answered>) => void,
  ): void {
    const { staggerMs, fanout, attemptTimeoutMs } = this.#settings;
    const race: ConnectRace<Answered> = new ConnectRace<Answered>(
      this.#runtime,
      {
        addresses,
        staggerMs,
        fanout,
        patienceMs: Math.min(attemptTimeoutMs, staggerMs * (1 + this.#rounds++)),
        isFinal: (error) => isFatal(error.code) || sessionIsGone(error.code),
      },
      (address, attemptDone) => {
        const link = this.#takePrepared(address);
        return new LinkAttempt(
          this.#network,
          this.#runtime,
          { address, timeoutMs: attemptTimeoutMs, first, ...(link === null ? {} : { link }) },
          {
            won: (answered) => attemptDone.won(answered),
            failed: (error) => {
              this.#heed(error, race);
              attemptDone.failed(error);
            },
          },
        );
      },
      done,
    );
    this.#current = race;
    race.run();
  }

  /** An answer that names the owner: goes there at once, in this round if it was not asked yet, else in the next. */
  #heed(error: HoldfastError, race: ConnectRace<Answered>): void {
    const owner = error.extras.owner?.grpcAddress;
    if (!owner) return;
    this.#endpoints.prefer(owner);
    race.suggest(owner);
  }
}

function settle(answered: Answered): RoundOutcome {
  const info = answered.response.session;
  if (info?.sessionId) return { attached: { link: answered.link, info } };
  answered.link.close();
  const error = new HoldfastError(ErrorCode.INTERNAL, "the node answered the session step without a session");
  return { attached: null, errors: new Map([[answered.link.address, error]]) };
}
