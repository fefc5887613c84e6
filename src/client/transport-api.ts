import type { v1 } from "../wire/index.js";

/**
 * How the client library reaches nodes: gRPC streams in production, simulated links in tests. Every address is dialled
 * apart, with its own deadline, so that one blackholed endpoint holds up nothing.
 */
export interface ClientNetwork {
  /**
   * Resolves with an open stream to the node's FileService, or rejects with a HoldfastError after `timeoutMs`.
   * `ownConnection`: over a connection that no other stream shares, for a session's further channels.
   */
  openFileStream(
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.IFileResponse>,
    ownConnection?: boolean,
  ): Promise<ClientStream<v1.IFileRequest>>;
  openWitness(
    address: string,
    request: v1.IWitnessRequest,
    events: StreamEvents<v1.IWitnessNotice>,
  ): ClientStream<never>;
  openCoordinatorStream(
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.ICoordinatorResponse>,
  ): Promise<ClientStream<v1.ICoordinatorRequest>>;
  /** Heartbeats of a file server that is not ours, to one coordinator. */
  openHeartbeat(
    address: string,
    timeoutMs: number,
    events: StreamEvents<v1.IHeartbeatResponse>,
  ): Promise<ClientStream<v1.IHeartbeatRequest>>;
}

/** Receives what a stream brings; `onClosed` comes exactly once, last. */
export interface StreamEvents<T> {
  onMessage(message: T): void;
  onClosed(reason: string): void;
}

/** The sending side of an open stream. */
export interface ClientStream<T> {
  send(message: T): void;
  /** True while the transport wants the sender to hold back. */
  readonly congested: boolean;
  /** `silent`: the node did not answer, so the connection below is not to be used for another stream. */
  close(silent?: boolean): void;
}
