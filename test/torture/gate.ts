import type { ClientNetwork, ClientStream, StreamEvents } from "../../src/client/index.js";
import type { Simulation } from "../../src/testing/sim/index.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";

/** A client's way to the cluster: shut, it ends the client's streams and lets none be opened until it is opened again. */
export class Gate {
  readonly network: ClientNetwork;
  private readonly open = new Map<ClientStream<v1.IFileRequest>, StreamEvents<v1.IFileResponse>>();
  private away = false;
  /** The one address that is let through; null: all. */
  only: string | null = null;

  constructor(
    private readonly sim: Simulation,
    inner: ClientNetwork,
  ) {
    this.network = {
      ...inner,
      openFileStream: (address, timeoutMs, events) => this.dial(inner, address, timeoutMs, events),
    };
  }

  get isShut(): boolean {
    return this.away;
  }

  shut(): void {
    this.away = true;
    for (const stream of this.open.keys()) stream.close();
    this.open.clear();
  }

  /** Streams that stand. */
  get count(): number {
    return this.open.size;
  }

  /** One of the streams breaks: the `at`-th of those that stand, from zero. */
  breakOne(at: number): void {
    const found = [...this.open][at];
    if (found === undefined) throw new Error(`there is no stream ${at} of ${this.open.size}`);
    const [stream, events] = found;
    this.open.delete(stream);
    stream.close();
    events.onClosed("this connection broke");
  }

  reopen(): void {
    this.away = false;
  }

  private async dial(
    inner: ClientNetwork,
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.IFileResponse>,
  ): Promise<ClientStream<v1.IFileRequest>> {
    let stream: ClientStream<v1.IFileRequest> | null = null;
    const refuse = async (): Promise<never> => {
      await new Promise<void>((go) => this.sim.after(1_000, go));
      throw new HoldfastError(ErrorCode.SERVER_UNAVAILABLE, `${address}: the client is cut off`);
    };
    if (this.away || (this.only !== null && this.only !== address)) return refuse();
    stream = await inner.openFileStream(address, timeoutMs, {
      onMessage: (message) => events.onMessage(message),
      onClosed: (reason) => {
        if (stream !== null) this.open.delete(stream);
        events.onClosed(reason);
      },
    });
    if (this.away) {
      stream.close();
      return refuse();
    }
    this.open.set(stream, events);
    return stream;
  }
}
