/**
 * Kinds of event that tell operators what became of the cluster: what `holdfast events` shows unless it is asked for more,
 * and what a node keeps longer than the opens and closes of a busy minute. The first part is in the log, and the same at
 * every member; the second is what one node saw by itself.
 */
export const NOTABLE_KINDS: readonly string[] = [
  "cluster",
  "share",
  "member",
  "node-up",
  "node-down",
  "node-left",
  "node-cordoned",
  "session-expired",
  "session-replaced",
  "handle-forced-closed",
  "handle-expired",
  "key-expired",
  "failover",
  "operation-begun",
  "operation-ended",
  "node-started",
  "node-stopping",
  "leader-changed",
  "leader-elected",
  "leader-lost",
  "lease-lost",
  "lease-held",
  "disk-full",
  "disk-has-room",
  "problem",
  "problem-over",
];
