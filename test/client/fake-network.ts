import type { ClientNetwork, ClientStream, StreamEvents } from "../../src/client/transport-api.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import type { World } from "./world.js";

/**
 * How a node's address behaves: `refuse`: connections fail at once; `blackhole`: nothing comes through in either
 * direction, not even a refusal; `mute`: what the client sends arrives, what the node answers does not.
 */
export type Reachability = "up" | "refuse" | "blackhole" | "mute";

/** The server's side of one stream: what it sends. */
export interface ServerStream<Response> {
  send(message: Response): void;
  end(reason: string): void;
}

/** The server's side of one stream: what it gets. */
export interface ServerSide<Request> {
  onMessage(request: Request): void;
  onClosed(): void;
}

/** A service behind an address. */
export interface ServerEnd<Request, Response> {
  accept(stream: ServerStream<Response>): ServerSide<Request>;
}

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

interface Open {
  readonly node: FakeAddress;
  closed: boolean;
  readonly drop: (reason: string) => void;
}

/** A service that is not there: it ends every stream. */
export const NOBODY = {
  accept(stream: ServerStream<never>) {
    stream.end("no such service");
    return { onMessage() {}, onClosed() {} };
  },
};

/** One address. */
export class FakeAddress {
  reachability: Reachability = "up";
  delayMs = 1;
  dials = 0;
  openStreams = 0;
  witness: ServerEnd<v1.IWitnessRequest, v1.IWitnessNotice> = NOBODY;
  heartbeats: ServerEnd<v1.IHeartbeatRequest, v1.IHeartbeatResponse> = NOBODY;
  constructor(
    readonly address: string,
    readonly server: ServerEnd<v1.IFileRequest, v1.IFileResponse>,
    readonly coordinator: ServerEnd<v1.ICoordinatorRequest, v1.ICoordinatorResponse> = NOBODY,
  ) {}
}

/** Links in virtual time; messages go through the real encoding, so nothing is shared between the two sides. */
export class FakeNetwork implements ClientNetwork {
  readonly nodes = new Map<string, FakeAddress>();
  readonly #open = new Set<Open>();

  constructor(readonly world: World) {}

  add(
    address: string,
    server: ServerEnd<v1.IFileRequest, v1.IFileResponse>,
    coordinator?: ServerEnd<v1.ICoordinatorRequest, v1.ICoordinatorResponse>,
  ): FakeAddress {
    const node = new FakeAddress(address, server, coordinator);
    this.nodes.set(address, node);
    return node;
  }

  /** Ends every stream to the node, as a dying process does. */
  cut(address: string, reason = "connection reset"): void {
    for (const open of [...this.#open]) if (open.node.address === address) open.drop(reason);
  }

  openFileStream(
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.IFileResponse>,
  ): Promise<ClientStream<v1.IFileRequest>> {
    return this.#dial(address, timeoutMs, (node) =>
      this.#stream(node, (stream) => node.server.accept(stream), v1.FileRequest, v1.FileResponse, events),
    );
  }

  #dial<T>(address: string, timeoutMs: number, open: (node: FakeAddress) => T): Promise<T> {
    const node = this.nodes.get(address);
    return new Promise((resolve, reject) => {
      const fail = (code: ErrorCode, why: string) => reject(new HoldfastError(code, `${address}: ${why}`));
      if (node === undefined) return this.world.after(1, () => fail(ErrorCode.NOT_READY, "no such host"));
      node.dials += 1;
      if (node.reachability === "blackhole" || node.reachability === "mute")
        return this.world.after(timeoutMs, () => fail(ErrorCode.DEADLINE_EXCEEDED, "no connection"));
      this.world.after(node.delayMs * 2, () => {
        if (node.reachability === "refuse") fail(ErrorCode.NOT_READY, "refused");
        else resolve(open(node));
      });
    });
  }

  openWitness(
    address: string,
    request: v1.IWitnessRequest,
    events: StreamEvents<v1.IWitnessNotice>,
  ): ClientStream<never> {
    const node = this.nodes.get(address);
    if (node === undefined) throw new Error(`no node ${address}`);
    node.dials += 1;
    const stream = this.#stream(
      node,
      (out) => node.witness.accept(out),
      v1.WitnessRequest,
      v1.WitnessNotice,
      events,
    );
    if (node.reachability === "refuse") this.world.after(1, () => this.cut(address));
    stream.send(request);
    return { congested: false, send() {}, close: () => stream.close() };
  }

  openCoordinatorStream(
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.ICoordinatorResponse>,
  ): Promise<ClientStream<v1.ICoordinatorRequest>> {
    return this.#dial(address, timeoutMs, (node) =>
      this.#stream(
        node,
        (stream) => node.coordinator.accept(stream),
        v1.CoordinatorRequest,
        v1.CoordinatorResponse,
        events,
      ),
    );
  }

  openHeartbeat(
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.IHeartbeatResponse>,
  ): Promise<ClientStream<v1.IHeartbeatRequest>> {
    return this.#dial(address, timeoutMs, (node) =>
      this.#stream(
        node,
        (stream) => node.heartbeats.accept(stream),
        v1.HeartbeatRequest,
        v1.HeartbeatResponse,
        events,
      ),
    );
  }

  #stream<In, Out>(
    node: FakeAddress,
    accept: (stream: ServerStream<In>) => ServerSide<Out>,
    requests: Codec<Out>,
    responses: Codec<In>,
    events: StreamEvents<In>,
  ): ClientStream<Out> {
    const { world } = this;
    node.openStreams += 1;
    const close = (tell: () => void) => {
      if (open.closed) return;
      open.closed = true;
      this.#open.delete(open);
      node.openStreams -= 1;
      tell();
    };
    const passes = (direction: "in" | "out") =>
      node.reachability === "up" || (node.reachability === "mute" && direction === "in");
    const server = accept({
      send: (message) => {
        const bytes = responses.encode(message).finish();
        world.after(node.delayMs, () => {
          if (!open.closed && passes("out")) events.onMessage(responses.decode(bytes));
        });
      },
      end: (reason) => world.after(node.delayMs, () => close(() => events.onClosed(reason))),
    });
    const open: Open = {
      node,
      closed: false,
      drop: (reason) =>
        close(() => {
          server.onClosed();
          events.onClosed(reason);
        }),
    };
    this.#open.add(open);
    return {
      congested: false,
      send: (message) => {
        const bytes = requests.encode(message).finish();
        world.after(node.delayMs, () => {
          if (!open.closed && passes("in")) server.onMessage(requests.decode(bytes));
        });
      },
      close: () => close(() => server.onClosed()),
    };
  }
}
