import { z } from "zod";

/** An integer option within bounds. */
const int = (value: number, min: number, max: number) => z.number().int().min(min).max(max).default(value);

/**
 * Every timeout and bound of a node that an operator may set, with its default. Durations end in Ms, sizes in Bytes.
 * What belongs to the wire contract and may not differ between nodes is in src/wire/limits.ts instead.
 */
export const optionsSchema = z.strictObject({
  /** One turn of Raft's clock. */
  tickMs: int(20, 5, 1_000),
  /** Ticks between two heartbeats of a leader. */
  heartbeatTicks: int(3, 1, 1_000),
  /** Ticks without a leader before an election; the actual timeout is drawn from one to two times this. */
  electionTicks: int(15, 2, 10_000),
  /** Raft: bytes of one append, of what is under way to a peer, of what a leader has not committed yet. */
  appendBytesMax: int(1024 * 1024, 4096, 4 * 1024 * 1024),
  inflightMessagesMax: int(256, 1, 65_536),
  inflightBytesMax: int(8 * 1024 * 1024, 65_536, 1024 * 1024 * 1024),
  uncommittedBytesMax: int(64 * 1024 * 1024, 65_536, 2 * 1024 * 1024 * 1024),
  /** Log entries kept below the applied index, for followers that lag. */
  logEntriesKept: int(20_000, 100, 10_000_000),
  /** A file node's lease, how often it renews, and how much earlier than the grantors it stops serving. */
  leaseMs: int(1_000, 100, 60_000),
  leaseHeartbeatMs: int(200, 10, 10_000),
  leaseMarginMs: int(100, 10, 10_000),
  /** How long a proposal or a read may wait before its caller is told that the outcome is unknown. */
  proposalTimeoutMs: int(10_000, 100, 600_000),
  /** Patience of /readyz for its linearizable read. */
  readyTimeoutMs: int(1_000, 50, 60_000),
  /** Patience with the ordered stop; what is not finished then is cut off. */
  stopTimeoutMs: int(10_000, 100, 600_000),
  /** gRPC calls that one connection may have open at a time. */
  streamsPerConnectionMax: int(10_000, 1, 1_000_000),
  /** A connection whose other end leaves a probe unanswered for this long is given up, with its calls. */
  connectionSilenceMsMax: int(5_000, 100, 600_000),
  /** Log lines that wait in memory for the disk beyond this are dropped, never waited for. */
  logBufferBytesMax: int(4 * 1024 * 1024, 4096, 256 * 1024 * 1024),
  /** With less free space on the node's disk only what frees space is accepted. */
  diskLowBytes: int(64 * 1024 * 1024, 0, 1024 * 1024 * 1024 * 1024),
  /** Set aside in the data folder while there is room, given back in parts when a write finds none. More than a write buffer. */
  diskReserveBytes: int(24 * 1024 * 1024, 0, 1024 * 1024 * 1024 * 1024),
  /** Above this 99th percentile of event-loop delay the node reports itself degraded. */
  loopDelayDegradedMs: int(250, 1, 60_000),
});

/** Timeouts and bounds of one node. */
export type NodeOptions = z.infer<typeof optionsSchema>;

/** A rule between options that each alone are fine. Answers what is wrong, or null. */
type CrossCheck = (options: NodeOptions) => { readonly path: string; readonly message: string } | null;

const crossChecks: readonly CrossCheck[] = [
  (o) =>
    o.electionTicks >= 3 * o.heartbeatTicks
      ? null
      : {
          path: "options.electionTicks",
          message: `${o.electionTicks} is less than three times heartbeatTicks (${o.heartbeatTicks}): one lost heartbeat would start an election`,
        },
  (o) =>
    o.leaseMs - o.leaseMarginMs >= 3 * o.leaseHeartbeatMs
      ? null
      : {
          path: "options.leaseMs",
          message: `${o.leaseMs} minus leaseMarginMs (${o.leaseMarginMs}) is less than three times leaseHeartbeatMs (${o.leaseHeartbeatMs}): one lost heartbeat would cost the lease`,
        },
  // Clocks of two hosts may run apart by a few hundred parts in a million; scheduling jitter dominates.
  (o) =>
    o.leaseMarginMs * 20 >= o.leaseMs
      ? null
      : {
          path: "options.leaseMarginMs",
          message: `${o.leaseMarginMs} is less than a twentieth of leaseMs (${o.leaseMs}): no margin for clocks that run apart`,
        },
  (o) =>
    o.inflightBytesMax >= o.appendBytesMax
      ? null
      : {
          path: "options.inflightBytesMax",
          message: `${o.inflightBytesMax} is less than appendBytesMax (${o.appendBytesMax}): one append could never be sent`,
        },
  (o) =>
    o.proposalTimeoutMs >= 4 * o.electionTicks * o.tickMs
      ? null
      : {
          path: "options.proposalTimeoutMs",
          message: `${o.proposalTimeoutMs} is less than two full election timeouts (${4 * o.electionTicks * o.tickMs} ms): every failover would look like a lost call`,
        },
];

/** The first rule between options that is broken, or null. */
export function crossCheckOptions(
  options: NodeOptions,
): { readonly path: string; readonly message: string } | null {
  for (const check of crossChecks) {
    const problem = check(options);
    if (problem !== null) return problem;
  }
  return null;
}
