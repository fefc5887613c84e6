import type { v1 } from "../wire/index.js";
import type { ClientNetwork, ClientStream, StreamEvents } from "./transport-api.js";

/** Whoever listens to a link at the moment: first the session step, then the session. */
export interface LinkReceiver {
  onMessage(message: v1.IFileResponse): void;
  onClosed(reason: string): void;
}

/**
 * One stream to one node. Its receiver changes hands once the session step is done; after `close` nothing arrives any
 * more, whatever the transport still holds, so an answer of a dead channel is never taken for one of the living.
 */
export class FileLink implements StreamEvents<v1.IFileResponse> {
  readonly address: string;
  #stream: ClientStream<v1.IFileRequest> | null = null;
  #receiver: LinkReceiver | null;
  #closed = false;
  /** Calls that were sent here and are not answered. */
  inFlight = 0;

  private constructor(address: string, receiver: LinkReceiver) {
    this.address = address;
    this.#receiver = receiver;
  }

  /** Dials; rejects with a HoldfastError when there is no stream after `timeoutMs`. */
  static async open(
    network: ClientNetwork,
    address: string,
    timeoutMs: number,
    receiver: LinkReceiver,
    ownConnection = false,
  ): Promise<FileLink> {
    const link = new FileLink(address, receiver);
    link.#stream = await network.openFileStream(address, timeoutMs, link, ownConnection);
    return link;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True while the transport wants the sender to hold back. */
  get congested(): boolean {
    return this.#stream?.congested ?? true;
  }

  set receiver(receiver: LinkReceiver) {
    this.#receiver = receiver;
  }

  send(request: v1.IFileRequest): void {
    if (!this.#closed) this.#stream?.send(request);
  }

  /** Ends the stream; the receiver hears nothing of it. Idempotent. `silent`: because the node did not answer. */
  close(silent = false): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#receiver = null;
    this.#stream?.close(silent);
  }

  onMessage(message: v1.IFileResponse): void {
    this.#receiver?.onMessage(message);
  }

  onClosed(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.onClosed(reason);
  }
}
