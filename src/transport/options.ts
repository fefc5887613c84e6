import { limits } from "../wire/limits.js";

/** Version of the frames and their meaning. Peers with another one are refused. */
export const PROTOCOL_VERSION = 1;

/** Bounds and times of the peer links, each with its reason. */
export interface TransportOptions {
  /** A frame is closed at about this size: larger ones cost latency, smaller ones CPU (measurements.md section 2). */
  readonly frameBytes: number;
  /** Bytes handed to the stream and not yet taken by the socket; the rest waits in our queue, where it can be dropped. */
  readonly streamBytesMax: number;
  /** Bytes that wait for one peer; beyond, new frames are dropped. */
  readonly queueBytesMax: number;
  /** Pause before the next dial: doubles from the first to the second. Far below an election timeout (lesson L8). */
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** A peer that does not answer the handshake within this time is dialled anew. */
  readonly handshakeTimeoutMs: number;
  /** A silent connection is probed after the first and given up after the second. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Chunks of a snapshot that may be under way without an acknowledgement. */
  readonly snapshotWindow: number;
  /** A snapshot that makes no progress for this long is given up. */
  readonly snapshotStallMs: number;
  /** A host name that was resolved is used for this many failed dials before it is resolved anew. */
  readonly dialsPerLookup: number;
}

/** What a node uses; tests make some of it smaller. */
export const defaultTransportOptions: TransportOptions = {
  frameBytes: 16 * 1024,
  streamBytesMax: 256 * 1024,
  queueBytesMax: 16 * 1024 * 1024,
  backoffMinMs: 20,
  backoffMaxMs: 100,
  handshakeTimeoutMs: 1000,
  keepaliveMs: 1000,
  keepaliveTimeoutMs: 1000,
  snapshotWindow: 4,
  snapshotStallMs: 10_000,
  dialsPerLookup: 50,
};

/** gRPC options for the channel to a peer: a connection of its own, small backoff, dead peers noticed. */
export function channelOptions(options: TransportOptions): Record<string, number> {
  return {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": options.backoffMinMs,
    "grpc.min_reconnect_backoff_ms": options.backoffMinMs,
    "grpc.max_reconnect_backoff_ms": options.backoffMaxMs,
    "grpc.keepalive_time_ms": options.keepaliveMs,
    "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.max_receive_message_length": limits.messageBytesMax,
    "grpc.max_send_message_length": limits.messageBytesMax,
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
  };
}

/** Options that a server which carries the peer service should have. */
export function peerServerOptions(
  options: TransportOptions = defaultTransportOptions,
): Record<string, number> {
  return {
    "grpc.max_receive_message_length": limits.messageBytesMax,
    "grpc.max_send_message_length": limits.messageBytesMax,
    "grpc.keepalive_time_ms": options.keepaliveMs,
    "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
  };
}
