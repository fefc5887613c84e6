import { type ChannelCredentials, Client, type ClientDuplexStream } from "@grpc/grpc-js";
import type { Runtime, Timer } from "../runtime/api.js";
import type { v1 } from "../wire/index.js";
import { services } from "../wire/services.js";
import type { HeartbeatNetwork, HeartbeatTarget } from "./lease-keeper.js";

const REDIAL_MS = 100;
/** Heartbeats that may wait on a stream: an old one is of no use to anybody. */
const UNSENT_MAX = 4;

/** Heartbeat streams to all coordinators, each dialled again by itself when it breaks. */
export class GrpcHeartbeats implements HeartbeatNetwork {
  private readonly links = new Map<string, Link>();
  private listener: (coordinator: string, response: v1.IHeartbeatResponse) => void = () => {};

  constructor(
    private readonly runtime: Runtime,
    private readonly credentials: ChannelCredentials,
  ) {}

  setCoordinators(coordinators: readonly HeartbeatTarget[]): void {
    const wanted = new Map(coordinators.map((target) => [target.name, target.address]));
    for (const [name, link] of [...this.links]) {
      if (wanted.get(name) === link.address) continue;
      link.close();
      this.links.delete(name);
    }
    for (const [name, address] of wanted) {
      if (this.links.has(name)) continue;
      const link = new Link(address, this.credentials, this.runtime, (response) =>
        this.listener(name, response),
      );
      this.links.set(name, link);
    }
  }

  send(coordinator: string, request: v1.IHeartbeatRequest): void {
    this.links.get(coordinator)?.send(request);
  }

  onResponse(listener: (coordinator: string, response: v1.IHeartbeatResponse) => void): void {
    this.listener = listener;
  }

  close(): void {
    for (const link of this.links.values()) link.close();
    this.links.clear();
  }
}

class Link {
  private readonly client: Client;
  private stream: ClientDuplexStream<v1.IHeartbeatRequest, v1.IHeartbeatResponse> | null = null;
  private redial: Timer | null = null;
  private closed = false;

  constructor(
    readonly address: string,
    credentials: ChannelCredentials,
    private readonly runtime: Runtime,
    private readonly onResponse: (response: v1.IHeartbeatResponse) => void,
  ) {
    this.client = new Client(address, credentials, {
      // A coordinator that is back must be found at once: the lease does not wait for long pauses between dials.
      "grpc.initial_reconnect_backoff_ms": REDIAL_MS,
      "grpc.max_reconnect_backoff_ms": REDIAL_MS * 2,
    });
    this.dial();
  }

  send(request: v1.IHeartbeatRequest): void {
    const stream = this.stream;
    if (stream === null || stream.writableLength >= UNSENT_MAX) return;
    stream.write(request);
  }

  close(): void {
    this.closed = true;
    this.redial?.cancel();
    this.stream?.cancel();
    this.client.close();
  }

  private dial(): void {
    if (this.closed) return;
    const method = services.Coordinator["Heartbeat"];
    if (method === undefined) return;
    const stream = this.client.makeBidiStreamRequest<v1.IHeartbeatRequest, v1.IHeartbeatResponse>(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
    );
    this.stream = stream;
    stream.on("data", this.onResponse);
    stream.on("error", () => this.lost(stream));
    stream.on("end", () => this.lost(stream));
  }

  private lost(stream: ClientDuplexStream<v1.IHeartbeatRequest, v1.IHeartbeatResponse>): void {
    if (this.stream !== stream || this.closed) return;
    this.stream = null;
    this.redial = this.runtime.scheduler.after(REDIAL_MS, () => this.dial());
  }
}
