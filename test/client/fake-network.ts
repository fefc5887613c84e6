import type { ClientNetwork, ClientStream, StreamEvents } from "../../src/client/transport-api.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import type { World } from "./world.js";

/**
 * How a node's address behaves: `refuse`: connections fail at once; `blackhole`: nothing comes through in either
 * direction, not even a refusal; `mute`: what the client sends arrives, what the node answers does not.
 */
export type Reachability = "up" | "refuse" | "blackhole" | "mute";

/** The server's side of one stream. */
export interface ServerStream {
  send(message: v1.IFileResponse): void;
  end(reason: string): void;
}

/** What stands behind an address. */
export interface ServerEnd {
  accept(stream: ServerStream): { onMessage(request: v1.FileRequest): void; onClosed(): void };
}

interface Open {
  readonly node: FakeAddress;
  closed: boolean;
  readonly drop: (reason: string) => void;
}

/** One address. */
export class FakeAddress {
  reachability: Reachability = "up";
  delayMs = 1;
  dials = 0;
  openStreams = 0;
  constructor(
    readonly address: string,
    readonly server: ServerEnd,
  ) {}
}

/** Links in virtual time; messages go through the real encoding, so nothing is shared between the two sides. */
export class FakeNetwork implements ClientNetwork {
  readonly nodes = new Map<string, FakeAddress>();
  readonly #open = new Set<Open>();

  constructor(readonly world: World) {}

  add(address: string, server: ServerEnd): FakeAddress {
    const node = new FakeAddress(address, server);
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
    const node = this.nodes.get(address);
    return new Promise((resolve, reject) => {
      const fail = (code: ErrorCode, why: string) => reject(new HoldfastError(code, `${address}: ${why}`));
      if (node === undefined) return this.world.after(1, () => fail(ErrorCode.NOT_READY, "no such host"));
      node.dials += 1;
      if (node.reachability === "blackhole" || node.reachability === "mute")
        return this.world.after(timeoutMs, () => fail(ErrorCode.DEADLINE_EXCEEDED, "no connection"));
      this.world.after(node.delayMs * 2, () => {
        if (node.reachability === "refuse") fail(ErrorCode.NOT_READY, "refused");
        else resolve(this.#stream(node, events));
      });
    });
  }

  openWitness(): ClientStream<never> {
    throw new Error("not used here");
  }

  openCoordinatorStream(): Promise<ClientStream<v1.ICoordinatorRequest>> {
    throw new Error("not used here");
  }

  #stream(node: FakeAddress, events: StreamEvents<v1.IFileResponse>): ClientStream<v1.IFileRequest> {
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
    const server = node.server.accept({
      send: (message) => {
        const bytes = v1.FileResponse.encode(message).finish();
        world.after(node.delayMs, () => {
          if (!open.closed && passes("out")) events.onMessage(v1.FileResponse.decode(bytes));
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
        const bytes = v1.FileRequest.encode(message).finish();
        world.after(node.delayMs, () => {
          if (!open.closed && passes("in")) server.onMessage(v1.FileRequest.decode(bytes));
        });
      },
      close: () => close(() => server.onClosed()),
    };
  }
}
