import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  makeClientConstructor,
} from "@grpc/grpc-js";
import type { Log, Runtime } from "../runtime/api.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import { FrameGather } from "../wire/frame-gather.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { services } from "../wire/services.js";
import type { CoordinatorClient, CoordinatorEvents } from "./api.js";
import { deliver } from "./local-client.js";

/** What a client of coordinators elsewhere needs. */
export interface RemoteClientSetup {
  readonly runtime: Runtime;
  /** gRPC addresses of the coordinators; asked for anew at each dial, so that members may change. */
  readonly addresses: () => readonly string[];
  readonly credentials: ChannelCredentials;
  /** Deadline of a call that names none. */
  readonly callTimeoutMs: number;
  /** A watch that hears nothing for this long is dialled anew: its other end may be stopped, not dead. */
  readonly silenceMs: number;
}

type Call = ClientDuplexStream<v1.ICoordinatorRequest, v1.ICoordinatorResponse>;

interface Waiting {
  readonly request: v1.ICoordinatorRequest;
  readonly deadlineMs: number;
  readonly done: (response: v1.ICoordinatorResponse) => void;
  /** It was written to a stream once: it may have happened. */
  sent: boolean;
}

const REDIAL_MS = 50;
const SWEEP_MS = 50;

/** A gRPC client with the stream methods of the service. */
type CoordinatorStub = Client & {
  stream(): Call;
  watch(request: v1.IWatchRequest): ClientReadableStream<v1.IWatchResponse>;
};

const Stub = makeClientConstructor(services.Coordinator, "Coordinator") as unknown as new (
  address: string,
  credentials: ChannelCredentials,
  options: object,
) => CoordinatorStub;

/**
 * The coordinator for a file node that is none itself: one stream to one coordinator, the next one when it breaks. What
 * had no answer by then is asked again there, until its deadline; that it is not done twice is the business of the
 * commands' own request ids, epochs and versions.
 */
export class RemoteCoordinatorClient implements CoordinatorClient {
  private readonly log: Log;
  private readonly waiting = new Map<number, Waiting>();
  private readonly watches = new Set<RemoteWatch>();
  private nextId = 0;
  private at = 0;
  private stub: CoordinatorStub | null = null;
  private call: Call | null = null;
  private frames: FrameGather<v1.ICoordinatorRequest> | null = null;
  private dialling = false;
  private closed = false;

  constructor(private readonly setup: RemoteClientSetup) {
    this.log = setup.runtime.log.child({ part: "coordinator-client" });
    this.sweep();
  }

  async execute(command: v1.ICommand, deadlineMs?: number): Promise<v1.ICommandResult> {
    const response = await this.ask({ command }, deadlineMs);
    return response.result ?? { error: response.error ?? NO_ANSWER };
  }

  async query(query: v1.IStateQuery, deadlineMs?: number): Promise<v1.IStateAnswer> {
    const response = await this.ask({ query }, deadlineMs);
    return response.answer ?? { error: response.error ?? NO_ANSWER };
  }

  watch(node: string, listener: CoordinatorEvents): () => void {
    const watch = new RemoteWatch(this.setup, node, listener, () => this.dialNext());
    this.watches.add(watch);
    return () => {
      this.watches.delete(watch);
      watch.close();
    };
  }

  private ask(request: v1.ICoordinatorRequest, deadlineMs?: number): Promise<v1.ICoordinatorResponse> {
    const id = ++this.nextId;
    const { clock } = this.setup.runtime;
    return new Promise((done) => {
      if (this.closed) return done({ error: errorDetail(ErrorCode.STOPPING, "this client is closed") });
      const own: Waiting = {
        request: { ...request, id },
        deadlineMs: deadlineMs ?? clock.monotonicMs() + this.setup.callTimeoutMs,
        done,
        sent: false,
      };
      this.waiting.set(id, own);
      this.write(own);
    });
  }

  private write(waiting: Waiting): void {
    if (this.frames === null) return this.dial();
    waiting.sent = true;
    this.frames.push(waiting.request);
  }

  private dial(): void {
    if (this.call !== null || this.dialling || this.closed) return;
    this.stub ??= this.dialNext();
    if (this.stub === null) return;
    const call = this.stub.stream();
    this.call = call;
    const frames = new FrameGather<v1.ICoordinatorRequest>({
      one: (request) => void call.write(request),
      many: (calls) => void call.write({ calls }),
    });
    this.frames = frames;
    call.write({ id: 0, query: { stale: true, cluster: {} }, frameCallsMax: limits.frameCallsMax });
    call.on("data", (frame: v1.ICoordinatorResponse) => {
      if (frame.frameCallsMax) frames.otherTakes(frame.frameCallsMax);
      if (!frame.answers?.length) return this.answered(frame);
      for (const answer of frame.answers) this.answered(answer);
    });
    call.on("error", (error: Error) => this.broke(call, error.message));
    call.on("end", () => this.broke(call, "the coordinator ended the stream"));
    for (const waiting of this.waiting.values()) this.write(waiting);
  }

  /** A stub of the next coordinator in turn; null when none is known. */
  private dialNext(): CoordinatorStub | null {
    const addresses = this.setup.addresses();
    const address = addresses[this.at++ % Math.max(1, addresses.length)];
    if (address === undefined) return null;
    return new Stub(address, this.setup.credentials, {
      "grpc.keepalive_time_ms": 2_000,
      "grpc.keepalive_timeout_ms": 1_000,
      "grpc.keepalive_permit_without_calls": 1,
      "grpc.max_receive_message_length": limits.messageBytesMax * 16,
      "grpc.initial_reconnect_backoff_ms": REDIAL_MS,
    });
  }

  private answered(response: v1.ICoordinatorResponse): void {
    const id = Number(response.id ?? 0);
    const waiting = this.waiting.get(id);
    if (waiting === undefined) return;
    this.waiting.delete(id);
    waiting.done(response);
  }

  private broke(call: Call, reason: string): void {
    if (this.call !== call) return;
    this.call = null;
    this.frames?.close();
    this.frames = null;
    this.stub?.close();
    this.stub = null;
    this.log.debug({ reason }, "the stream to the coordinator broke");
    if (this.closed) return;
    this.dialling = true;
    this.setup.runtime.scheduler.after(REDIAL_MS, () => {
      this.dialling = false;
      if (this.waiting.size > 0) this.dial();
    });
  }

  private sweep(): void {
    this.setup.runtime.scheduler.after(SWEEP_MS, () => {
      if (this.closed) return;
      const now = this.setup.runtime.clock.monotonicMs();
      for (const [id, waiting] of this.waiting) {
        if (waiting.deadlineMs > now) continue;
        this.waiting.delete(id);
        waiting.done({ error: lateError(waiting) });
      }
      if (this.waiting.size > 0) this.dial();
      this.sweep();
    });
  }

  close(): void {
    this.closed = true;
    for (const watch of this.watches) watch.close();
    this.call?.cancel();
    this.stub?.close();
    for (const waiting of this.waiting.values()) waiting.done({ error: lateError(waiting) });
    this.waiting.clear();
  }
}

const NO_ANSWER = errorDetail(ErrorCode.INTERNAL, "the coordinator's answer was empty");

function lateError(waiting: Waiting): v1.IErrorDetail {
  if (!waiting.sent || waiting.request.query)
    return errorDetail(ErrorCode.NO_QUORUM, "no coordinator answered in time", { retryAfterMs: 200 });
  return errorDetail(
    ErrorCode.OUTCOME_UNKNOWN,
    "the command was sent to a coordinator, but no answer came in time; it may or may not have happened",
    { next: "repeat it under the same request id, or read the state" },
  );
}

/** One watch over whichever coordinator answers; goes on after the last revision that it saw. */
class RemoteWatch {
  private stub: CoordinatorStub | null = null;
  private call: ClientReadableStream<v1.IWatchResponse> | null = null;
  private revision = 0;
  private cluster = "";
  private heardMs = 0;
  private closed = false;

  constructor(
    private readonly setup: RemoteClientSetup,
    private readonly node: string,
    private readonly listener: CoordinatorEvents,
    private readonly next: () => CoordinatorStub | null,
  ) {
    this.dial();
    this.look();
  }

  private dial(): void {
    if (this.closed) return;
    this.stub = this.next();
    this.heardMs = this.setup.runtime.clock.monotonicMs();
    if (this.stub === null) return;
    const call = this.stub.watch({ fromRevision: this.revision, node: this.node });
    this.call = call;
    call.on("data", (response: v1.IWatchResponse) => this.heard(response));
    call.on("error", () => this.broke(call));
    call.on("end", () => this.broke(call));
  }

  private heard(response: v1.IWatchResponse): void {
    this.heardMs = this.setup.runtime.clock.monotonicMs();
    const cluster = response.incarnation ?? "";
    // Revisions of another cluster mean nothing here.
    const foreign = this.cluster !== "" && cluster !== "" && cluster !== this.cluster;
    if (cluster !== "") this.cluster = cluster;
    this.revision = Number(response.progressRevision ?? this.revision);
    if (foreign) this.listener.onResync(this.revision);
    else deliver(response, this.listener);
  }

  private broke(call: ClientReadableStream<v1.IWatchResponse>): void {
    if (this.call !== call) return;
    this.hangUp();
    this.setup.runtime.scheduler.after(REDIAL_MS, () => {
      if (this.call === null) this.dial();
    });
  }

  private hangUp(): void {
    const { call, stub } = this;
    this.call = null;
    this.stub = null;
    call?.cancel();
    stub?.close();
  }

  /** A stopped coordinator keeps its connections: silence tells, not a broken stream. */
  private look(): void {
    this.setup.runtime.scheduler.after(this.setup.silenceMs / 4, () => {
      if (this.closed) return;
      if (this.setup.runtime.clock.monotonicMs() - this.heardMs > this.setup.silenceMs) {
        this.hangUp();
        this.dial();
      }
      this.look();
    });
  }

  close(): void {
    this.closed = true;
    this.hangUp();
  }
}
