import { Client, type ClientDuplexStream, connectivityState, credentials } from "@grpc/grpc-js";
import type { ChannelCredentials, ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import type { Clock } from "../runtime/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { fromServiceError } from "../wire/grpc-errors.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { services } from "../wire/services.js";
import type { ClientTls } from "./options.js";
import type { ClientNetwork, ClientStream, StreamEvents } from "./transport-api.js";

/** Credentials for a client's connections: TLS where certificates are given. */
export function clientCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const buffer = (pem: string | Uint8Array | undefined) => (pem === undefined ? null : Buffer.from(pem));
  return credentials.createSsl(buffer(tls.ca), buffer(tls.key), buffer(tls.cert));
}

/** Frame and headers around the largest message. */
const FRAMING_BYTES = 1024;

/**
 * One channel per node, made and thrown away by us. grpc-js's own balancing and waiting are left out: a channel that once
 * failed backs off for longer than a failover takes, and one that hangs in a connect hangs for 20 s (field-notes 3.7, 49).
 */
export class GrpcClientNetwork implements ClientNetwork {
  /** By address, those that serve one stream alone by address and a number. */
  readonly #clients = new Map<string, Client>();
  #lastOwn = 0;
  readonly #clock: Clock;
  readonly #credentials: ChannelCredentials;

  constructor(clock: Clock, channelCredentials: ChannelCredentials = credentials.createInsecure()) {
    this.#clock = clock;
    this.#credentials = channelCredentials;
  }

  async openFileStream(
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.IFileResponse>,
    ownConnection = false,
  ): Promise<ClientStream<v1.IFileRequest>> {
    const method = services.FileService["Session"] as Method;
    if (!ownConnection) return this.#duplex(await this.#ready(address, timeoutMs), address, method, events);
    const key = `${address}#${++this.#lastOwn}`;
    const client = await this.#ready(address, timeoutMs, key);
    const stream: ClientStream<v1.IFileRequest> = this.#duplex(client, key, method, {
      onMessage: (message: v1.IFileResponse) => events.onMessage(message),
      onClosed: (reason) => {
        this.#forget(key);
        events.onClosed(reason);
      },
    });
    return stream;
  }

  async openCoordinatorStream(
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.ICoordinatorResponse>,
  ): Promise<ClientStream<v1.ICoordinatorRequest>> {
    const client = await this.#ready(address, timeoutMs);
    return this.#duplex(client, address, services.Coordinator["Stream"] as Method, events);
  }

  async openHeartbeat(
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.IHeartbeatResponse>,
  ): Promise<ClientStream<v1.IHeartbeatRequest>> {
    const client = await this.#ready(address, timeoutMs);
    return this.#duplex(client, address, services.Coordinator["Heartbeat"] as Method, events);
  }

  openWitness(
    address: string,
    request: v1.IWitnessRequest,
    events: StreamEvents<v1.IWitnessNotice>,
  ): ClientStream<never> {
    const method = services.Witness["Register"] as Method;
    const client = this.#client(address);
    const call = client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
    );
    forward(call, address, events);
    return {
      congested: false,
      send() {},
      close: (silent) => this.#end(address, call, silent),
    };
  }

  /** Closes all channels; open streams end. */
  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #client(address: string, key = address): Client {
    const known = this.#clients.get(key);
    if (known !== undefined) {
      const state = known.getChannel().getConnectivityState(false);
      if (state === connectivityState.READY || state === connectivityState.IDLE) return known;
      this.#forget(key);
    }
    const client = new Client(address, this.#credentials, {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_http_proxy": 0,
      "grpc.max_send_message_length": limits.messageBytesMax,
      "grpc.max_receive_message_length": limits.messageBytesMax + FRAMING_BYTES,
      "grpc.service_config_disable_resolution": 1,
      "grpc.enable_retries": 0,
    });
    this.#clients.set(key, client);
    return client;
  }

  #forget(address: string): void {
    this.#clients.get(address)?.close();
    this.#clients.delete(address);
  }

  /** A client whose connection stands; a refusal rejects at once, silence after `timeoutMs`. */
  #ready(address: string, timeoutMs: number, key = address): Promise<Client> {
    const client = this.#client(address, key);
    const channel = client.getChannel();
    const deadline = new Date(this.#clock.wallMs() + timeoutMs);
    return new Promise((resolve, reject) => {
      const fail = (code: ErrorCode, why: string) => {
        if (this.#clients.get(key) === client) this.#forget(key);
        reject(new HoldfastError(code, `${address}: ${why}`));
      };
      const look = () => {
        const state = channel.getConnectivityState(true);
        if (state === connectivityState.READY) return resolve(client);
        if (state === connectivityState.TRANSIENT_FAILURE)
          return fail(ErrorCode.NOT_READY, "connection refused or unreachable");
        if (state === connectivityState.SHUTDOWN) return fail(ErrorCode.CANCELLED, "the network was closed");
        channel.watchConnectivityState(state, deadline, (error) => {
          if (error) fail(ErrorCode.DEADLINE_EXCEEDED, `no connection within ${timeoutMs} ms`);
          else look();
        });
      };
      look();
    });
  }

  #duplex<Out, In>(
    client: Client,
    address: string,
    method: Method,
    events: StreamEvents<In>,
  ): ClientStream<Out> {
    const call = client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
    );
    forward(call, address, events);
    return new GrpcStream<Out>(call, (silent) => this.#end(address, call, silent));
  }

  #end(address: string, call: { cancel(): void }, silent = false): void {
    call.cancel();
    if (silent) this.#forget(address);
  }
}

interface Method {
  readonly path: string;
  readonly requestSerialize: (message: unknown) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

class GrpcStream<Out> implements ClientStream<Out> {
  readonly #call: ClientDuplexStream<unknown, unknown>;
  readonly #end: (silent?: boolean) => void;
  #congested = false;

  constructor(call: ClientDuplexStream<unknown, unknown>, end: (silent?: boolean) => void) {
    this.#call = call;
    this.#end = end;
    call.on("drain", () => (this.#congested = false));
  }

  get congested(): boolean {
    return this.#congested;
  }

  send(message: Out): void {
    this.#congested = !this.#call.write(message);
  }

  close(silent?: boolean): void {
    this.#end(silent);
  }
}

/** Messages and exactly one end, whichever of grpc-js's events comes first. */
function forward<In>(
  call: ClientReadableStream<unknown> | ClientDuplexStream<unknown, unknown>,
  address: string,
  events: StreamEvents<In>,
): void {
  let ended = false;
  const end = (reason: string) => {
    if (ended) return;
    ended = true;
    events.onClosed(reason);
  };
  call.on("data", (message: unknown) => {
    if (!ended) events.onMessage(message as In);
  });
  call.on("error", (error: ServiceError) => {
    const typed = fromServiceError(error);
    end(`${address}: ${typed.codeName} ${typed.message}`);
  });
  call.on("end", () => end(`${address} ended the stream`));
}
