/** Settings of a coordinator. Durations in milliseconds of the monotonic clock. */
export interface CoordinatorConfig {
  readonly raftId: number;
  readonly name: string;
  readonly clusterId: string;
  /** How long a promise to a file node lasts from the receipt of its heartbeat (design section 5). */
  readonly leaseMs: number;
  /** What file nodes take off that time for themselves: so long before a takeover an owner has stopped by its own clock. */
  readonly leaseMarginMs: number;
  /** How often promises are looked at, and how often a revocation is told to the leader again. */
  readonly leaseTickMs: number;
  readonly revokedRepeatMs: number;
  /** After a failed attempt to declare a node down. */
  readonly nodeDownRetryMs: number;
  /** Deadline of a call that names none. */
  readonly callTimeoutMs: number;
  /** Calls of one stream that may be under way; beyond it the stream is not read. */
  readonly streamInFlightMax: number;
  /** Events kept for watches that resume. */
  readonly eventsKeptMax: number;
  /** Events that may wait for one slow watch before it is told to load anew. */
  readonly watchQueueMax: number;
  /** A watch hears something at least this often (field-notes 3.6). */
  readonly watchProgressMs: number;
}

/** What everybody uses unless told otherwise. */
export const coordinatorDefaults: Omit<CoordinatorConfig, "raftId" | "name" | "clusterId"> = {
  leaseMs: 1_000,
  leaseMarginMs: 100,
  leaseTickMs: 25,
  revokedRepeatMs: 100,
  nodeDownRetryMs: 200,
  callTimeoutMs: 10_000,
  streamInFlightMax: 4_096,
  eventsKeptMax: 10_000,
  watchQueueMax: 2_000,
  watchProgressMs: 2_000,
};

/** What is wrong with the settings, in words for an operator; empty when they are fine. */
export function validateCoordinatorConfig(config: CoordinatorConfig): string[] {
  const problems: string[] = [];
  for (const [name, value] of Object.entries(config)) {
    if (typeof value === "number" && !(Number.isFinite(value) && value > 0))
      problems.push(`${name} must be greater than 0, but is ${value}`);
  }
  if (config.leaseTickMs * 4 > config.leaseMs)
    problems.push(
      `leaseTickMs (${config.leaseTickMs}) must be at most a quarter of leaseMs (${config.leaseMs}): revocations would be late`,
    );
  if (config.watchProgressMs > 5_000)
    problems.push(`watchProgressMs must be at most 5000, but is ${config.watchProgressMs}`);
  return problems;
}
