import {
  Client,
  type ChannelCredentials,
  type ClientDuplexStream,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import type { Log, Meter, Scheduler, Timer } from "../runtime/api.js";
import { ErrorCode, type HoldfastError } from "../wire/errors.js";
import { fromServiceError } from "../wire/grpc-errors.js";
import type { v1 } from "../wire/index.js";
import { services } from "../wire/services.js";
import type { PeerTarget } from "./api.js";
import { PeerAddress, type ResolveHost } from "./addresses.js";
import { DISK_REFUSED, makeHello, refuseWelcome, type AdmitPeer, type SelfIdentity } from "./handshake.js";
import { channelOptions, type TransportOptions } from "./options.js";
import { SendQueue } from "./send-queue.js";

type LinkStream = ClientDuplexStream<v1.IPeerFrame, v1.IPeerWelcome>;

/** What every part of the transport needs. */
export interface LinkContext {
  readonly self: SelfIdentity;
  readonly admit: AdmitPeer;
  readonly scheduler: Scheduler;
  readonly log: Log;
  readonly meter: Meter;
  readonly options: TransportOptions;
  readonly credentials: ChannelCredentials;
  readonly resolve: ResolveHost;
}

/** What a link tells its transport. */
export interface LinkEvents {
  onConnected(peer: number): void;
  onDisconnected(peer: number, reason: string): void;
  onRefused?(peer: number, refusal: HoldfastError): void;
}

const LINK = services.Peer["Link"] as MethodDefinition<v1.IPeerFrame, v1.IPeerWelcome>;

/** What a handshake is refused with. */
const REFUSALS = new Set<ErrorCode>([
  ErrorCode.INVALID_ARGUMENT,
  ErrorCode.UNSUPPORTED_VERSION,
  ErrorCode.WRONG_CLUSTER,
  ErrorCode.UNKNOWN_MEMBER,
  ErrorCode.PRECONDITION_FAILED,
  DISK_REFUSED,
]);

/**
 * The outgoing link to one peer: dials, introduces itself, sends frames, dials again. Every dial is a new channel with
 * a connection of its own, so that a connect that hangs is given up with it.
 */
export class PeerLink {
  readonly target: PeerTarget;
  readonly #context: LinkContext;
  readonly #events: LinkEvents;
  readonly #address: PeerAddress;
  readonly #queue: SendQueue;
  readonly #labels: { peer: string };
  #client: Client | null = null;
  #stream: LinkStream | null = null;
  #connected = false;
  #closed = false;
  #timer: Timer | null = null;
  #dialling = false;
  #backoffMs: number;
  #inStream = 0;
  #toIncarnation = 0;
  #lastReason = "";

  constructor(target: PeerTarget, context: LinkContext, events: LinkEvents) {
    this.target = target;
    this.#context = context;
    this.#events = events;
    const { options } = context;
    this.#address = new PeerAddress(target.address, context.resolve, options.dialsPerLookup);
    this.#queue = new SendQueue(options.frameBytes, options.queueBytesMax);
    this.#labels = { peer: target.name };
    this.#backoffMs = options.backoffMinMs;
    this.#dial();
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Queues a frame for the next flush; drops it while the link is down or its queue is full. */
  send(frame: v1.IPeerFrame): void {
    if (!this.#connected || !this.#queue.push(frame))
      this.#context.meter.count("peer_frames_dropped", 1, this.#labels);
  }

  /** Writes what waits, as far as the stream takes it. */
  flush(): void {
    const { streamBytesMax } = this.#context.options;
    const stream = this.#stream;
    if (stream === null || !this.#connected) return;
    while (!this.#queue.empty && this.#inStream < streamBytesMax) {
      const { frame, bytes } = this.#queue.take();
      this.#inStream += bytes;
      stream.write(frame, () => this.#written(stream, bytes));
    }
  }

  /** The peer has been heard from: it is worth dialling now (lesson L8). */
  hint(): void {
    if (this.#connected || this.#dialling || this.#closed) return;
    this.#timer?.cancel();
    this.#backoffMs = this.#context.options.backoffMinMs;
    this.#dial();
  }

  /** An address to open a snapshot stream to. */
  dialAddress(): Promise<string> {
    return this.#address.forDial();
  }

  /** Ends the link. What was queued still leaves, if the stream takes it at once: it may hand leadership over. */
  close(reason = "closed"): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.flush();
    this.#drop(reason, true);
  }

  #dial(): void {
    this.#dialling = true;
    this.#address.forDial().then(
      (address) => {
        if (!this.#closed) this.#open(address);
      },
      (error: Error) => this.#broken(null, `its address cannot be resolved: ${error.message}`),
    );
  }

  #open(address: string): void {
    const { credentials, options, self, scheduler } = this.#context;
    this.#client = new Client(address, credentials, channelOptions(options));
    const stream = this.#client.makeBidiStreamRequest(
      LINK.path,
      LINK.requestSerialize,
      LINK.responseDeserialize,
    );
    this.#stream = stream;
    this.#inStream = 0;
    stream.on("data", (welcome: v1.IPeerWelcome) => this.#welcomed(stream, welcome));
    stream.on("error", (error: ServiceError) => this.#failed(stream, fromServiceError(error)));
    stream.on("end", () => this.#broken(stream, "the peer ended the link"));
    stream.write({ hello: makeHello(self, this.target.raftId, this.#toIncarnation) });
    this.#timer = scheduler.after(options.handshakeTimeoutMs, () =>
      this.#broken(stream, `no answer within ${options.handshakeTimeoutMs} ms`),
    );
  }

  #welcomed(stream: LinkStream, welcome: v1.IPeerWelcome): void {
    if (stream !== this.#stream || this.#connected) return;
    const refusal = refuseWelcome(welcome, this.target.raftId, this.#context.admit);
    if (refusal !== null) {
      this.#broken(stream, refusal.message);
      return;
    }
    this.#timer?.cancel();
    this.#toIncarnation = welcome.incarnation ?? 0;
    this.#connected = true;
    this.#dialling = false;
    this.#backoffMs = this.#context.options.backoffMinMs;
    this.#lastReason = "";
    this.#address.confirmed();
    this.#context.meter.gauge("peer_connected", 1, this.#labels);
    this.#context.log.info({ peer: this.target.name, address: this.target.address }, "peer link is up");
    this.#events.onConnected(this.target.raftId);
  }

  #failed(stream: LinkStream, error: HoldfastError): void {
    const refused = stream === this.#stream && !this.#connected && REFUSALS.has(error.code);
    this.#broken(stream, `${error.codeName}: ${error.message}`);
    if (refused) this.#events.onRefused?.(this.target.raftId, error);
  }

  #written(stream: LinkStream, bytes: number): void {
    if (stream !== this.#stream) return;
    this.#inStream -= bytes;
    if (!this.#queue.empty) this.flush();
  }

  /** The link of `stream` is over, or could not be dialled; late news of an earlier stream are nothing. */
  #broken(stream: LinkStream | null, reason: string): void {
    if (stream !== this.#stream || this.#closed) return;
    this.#drop(reason);
    this.#timer?.cancel();
    this.#timer = this.#context.scheduler.after(this.#backoffMs, () => this.#dial());
    this.#backoffMs = Math.min(this.#backoffMs * 2, this.#context.options.backoffMaxMs);
  }

  #drop(reason: string, inGoodOrder = false): void {
    const wasConnected = this.#connected;
    const { log, meter } = this.#context;
    this.#connected = false;
    this.#dialling = false;
    if (!wasConnected) this.#toIncarnation = 0;
    const stream = this.#stream;
    this.#stream = null;
    if (inGoodOrder && wasConnected) stream?.end();
    else stream?.cancel();
    this.#client?.close();
    this.#client = null;
    const dropped = this.#queue.clear();
    if (dropped > 0) meter.count("peer_frames_dropped", dropped, this.#labels);
    meter.gauge("peer_connected", 0, this.#labels);
    // A peer that stays down is dialled ten times a second; only what is new is worth a line.
    if (reason !== this.#lastReason)
      log.warn({ peer: this.target.name, address: this.target.address, reason }, "peer link is down");
    this.#lastReason = reason;
    if (wasConnected) this.#events.onDisconnected(this.target.raftId, reason);
  }
}
