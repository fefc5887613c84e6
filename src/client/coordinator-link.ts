import type { Runtime, Timer } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { FrameGather } from "../wire/frame-gather.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { Backoff } from "./backoff.js";
import { Endpoints } from "./endpoints.js";
import { Liveness } from "./liveness.js";
import type { ClientSettings } from "./options.js";
import { ConnectRace } from "./race.js";
import { reactionTo } from "./retry.js";
import type { ClientNetwork, ClientStream } from "./transport-api.js";

/** An answer, and whether an earlier copy of the request may have been carried out as well. */
export interface CoordinatorAnswer {
  readonly response: v1.ICoordinatorResponse;
  readonly uncertain: boolean;
}

interface Waiting {
  readonly id: number;
  readonly request: v1.ICoordinatorRequest;
  readonly deadlineAtMs: number;
  readonly resolve: (answer: CoordinatorAnswer) => void;
  readonly reject: (error: HoldfastError) => void;
  uncertain: boolean;
  sent: boolean;
  backoff: Backoff | null;
}

const PAUSE_FIRST_MS = 15;
const PAUSE_MAX_MS = 250;
const SWEEP_MS = 50;
const FIRST_ID = 16;
/** Any call that every node answers at once; its answer is nobody's. */
const PING: v1.ICoordinatorRequest = { id: 1, query: { stale: true, cluster: {} } };

/**
 * Commands and queries to the coordinator on one stream, many at once. When the stream or its node is lost, another
 * coordinator is dialled and what was unanswered is sent again; the caller is told when that may have done it twice.
 */
export class CoordinatorLink {
  readonly #network: ClientNetwork;
  readonly #runtime: Runtime;
  readonly #settings: ClientSettings;
  readonly #endpoints: Endpoints;
  readonly #pauses: Backoff;
  readonly #waiting = new Map<number, Waiting>();
  #stream: ClientStream<v1.ICoordinatorRequest> | null = null;
  /** Calls of one turn, on their way to `#stream`. */
  #frames: FrameGather<v1.ICoordinatorRequest> | null = null;
  #address = "";
  #liveness: Liveness | null = null;
  #race: { cancel(): void } | null = null;
  #sweep: Timer | null = null;
  #pause: Timer | null = null;
  #nextId = FIRST_ID;
  #closed = false;

  constructor(network: ClientNetwork, runtime: Runtime, settings: ClientSettings) {
    this.#network = network;
    this.#runtime = runtime;
    this.#settings = settings;
    this.#endpoints = new Endpoints(runtime.random, settings.nodes);
    this.#pauses = new Backoff(runtime.random, PAUSE_FIRST_MS, PAUSE_MAX_MS);
    // The first address given is where the caller would like to be served.
    this.#endpoints.prefer(settings.nodes[0]);
  }

  get address(): string {
    return this.#address;
  }

  /**
   * Resolves with the answer, errors that are final included; rejects when the deadline comes first: OUTCOME_UNKNOWN if
   * the request may have been carried out.
   */
  call(request: v1.ICoordinatorRequest, deadlineMs = this.#settings.deadlineMs): Promise<CoordinatorAnswer> {
    if (this.#closed)
      return Promise.reject(new HoldfastError(ErrorCode.CANCELLED, "the connection was closed"));
    const id = this.#nextId++;
    request.id = id;
    return new Promise((resolve, reject) => {
      const deadlineAtMs = this.#runtime.clock.monotonicMs() + deadlineMs;
      const call: Waiting = {
        id,
        request,
        deadlineAtMs,
        resolve,
        reject,
        uncertain: false,
        sent: false,
        backoff: null,
      };
      this.#waiting.set(id, call);
      this.#armSweep();
      if (this.#stream !== null) this.#send(call);
      else this.#connect();
    });
  }

  close(): void {
    this.#closed = true;
    this.#race?.cancel();
    this.#sweep?.cancel();
    this.#pause?.cancel();
    this.#liveness?.stop();
    this.#frames?.close();
    this.#stream?.close();
    this.#stream = null;
    for (const call of this.#waiting.values())
      call.reject(new HoldfastError(ErrorCode.CANCELLED, "the connection was closed"));
    this.#waiting.clear();
  }

  #send(call: Waiting): void {
    call.sent = true;
    this.#frames?.push(call.request);
  }

  #connect(): void {
    if (this.#race !== null || this.#pause !== null || this.#closed) return;
    const { staggerMs, fanout, attemptTimeoutMs } = this.#settings;
    const race = new ConnectRace<ClientStream<v1.ICoordinatorRequest>>(
      this.#runtime,
      {
        addresses: this.#endpoints.order(),
        staggerMs,
        fanout,
        patienceMs: attemptTimeoutMs,
        isFinal: () => false,
      },
      (address, done) => this.#dial(address, done),
      (outcome) => {
        this.#race = null;
        if (outcome.result !== null) return this.#up(outcome.address, outcome.result);
        this.#pause = this.#runtime.scheduler.after(this.#pauses.next(), () => {
          this.#pause = null;
          this.#connect();
        });
      },
    );
    this.#race = race;
    race.run();
  }

  #dial(
    address: string,
    done: { won(stream: ClientStream<v1.ICoordinatorRequest>): void; failed(error: HoldfastError): void },
  ) {
    let open: ClientStream<v1.ICoordinatorRequest> | null = null;
    let cancelled = false;
    const events = {
      onMessage: (message: v1.ICoordinatorResponse) => {
        if (open !== null && open === this.#stream) this.#onMessage(message);
      },
      onClosed: () => {
        if (open !== null && open === this.#stream) this.#down(false);
      },
    };
    this.#network.openCoordinatorStream(address, this.#settings.attemptTimeoutMs, events).then(
      (stream) => {
        open = stream;
        if (cancelled) stream.close();
        else done.won(stream);
      },
      (thrown: unknown) => done.failed(HoldfastError.from(thrown)),
    );
    return {
      cancel: () => {
        cancelled = true;
        open?.close();
      },
    };
  }

  #up(address: string, stream: ClientStream<v1.ICoordinatorRequest>): void {
    this.#pauses.reset();
    this.#stream = stream;
    this.#address = address;
    this.#endpoints.settled(address);
    this.#frames = new FrameGather<v1.ICoordinatorRequest>({
      one: (request) => stream.send(request),
      many: (calls) => stream.send({ calls }),
    });
    stream.send({ ...PING, frameCallsMax: limits.frameCallsMax });
    this.#liveness = new Liveness(this.#runtime, {
      pingIntervalMs: this.#settings.pingIntervalMs,
      silenceLimitMs: this.#settings.silenceLimitMs,
      ping: () => stream.send(PING),
      onSilent: () => this.#down(true),
    });
    for (const call of this.#waiting.values()) this.#send(call);
  }

  #down(silent: boolean): void {
    const stream = this.#stream;
    this.#stream = null;
    this.#frames?.close();
    this.#frames = null;
    this.#liveness?.stop();
    this.#liveness = null;
    this.#endpoints.avoid(this.#address);
    this.#address = "";
    stream?.close(silent);
    for (const call of this.#waiting.values()) {
      if (call.sent) call.uncertain = true;
      call.sent = false;
    }
    if (this.#waiting.size > 0) this.#connect();
  }

  #onMessage(message: v1.ICoordinatorResponse): void {
    this.#liveness?.heard();
    if (message.frameCallsMax) this.#frames?.otherTakes(message.frameCallsMax);
    const { answers } = message;
    if (!answers?.length) return this.#onAnswer(message);
    for (let i = 0; i < answers.length; i++) this.#onAnswer(answers[i] as v1.ICoordinatorResponse);
  }

  #onAnswer(message: v1.ICoordinatorResponse): void {
    const call = this.#waiting.get(message.id ?? 0);
    if (call === undefined) return;
    const detail = message.error ?? message.result?.error ?? message.answer?.error;
    if (detail) {
      const error = HoldfastError.fromDetail(detail);
      if (error.code === ErrorCode.OUTCOME_UNKNOWN) call.uncertain = true;
      const reaction = reactionTo(error.code);
      if (reaction === "again" || error.code === ErrorCode.STOPPING) return this.#later(call, error);
    }
    this.#waiting.delete(call.id);
    call.resolve({ response: message, uncertain: call.uncertain });
  }

  #later(call: Waiting, error: HoldfastError): void {
    call.backoff ??= new Backoff(this.#runtime.random, PAUSE_FIRST_MS, PAUSE_MAX_MS);
    call.sent = false;
    this.#runtime.scheduler.after(Math.max(error.extras.retryAfterMs ?? 0, call.backoff.next()), () => {
      if (!this.#waiting.has(call.id) || call.sent) return;
      if (this.#stream !== null) this.#send(call);
      else this.#connect();
    });
  }

  #armSweep(): void {
    this.#sweep ??= this.#runtime.scheduler.after(SWEEP_MS, () => {
      this.#sweep = null;
      const nowMs = this.#runtime.clock.monotonicMs();
      for (const call of this.#waiting.values()) if (call.deadlineAtMs <= nowMs) this.#expire(call);
      if (this.#waiting.size > 0) this.#armSweep();
    });
  }

  #expire(call: Waiting): void {
    this.#waiting.delete(call.id);
    const command = call.request.command !== undefined && call.request.command !== null;
    const open = command && (call.sent || call.uncertain);
    const [code, what] = open
      ? [ErrorCode.OUTCOME_UNKNOWN, "it may or may not have happened"]
      : [ErrorCode.DEADLINE_EXCEEDED, "it was not done"];
    call.reject(new HoldfastError(code, `no answer from a coordinator before the deadline: ${what}`));
  }
}
