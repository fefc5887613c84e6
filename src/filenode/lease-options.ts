import { ErrorCode, HoldfastError } from "../wire/errors.js";

/** Times of the node lease, in milliseconds. */
export interface LeaseOptions {
  /** What coordinators promise: the same number on all nodes. */
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Taken off the lease's end: for clocks that run at different rates and for what a check leaves unnoticed. */
  readonly marginMs: number;
  /** How often the share is written to, to see whether it answers. */
  readonly canaryMs: number;
  /** After this silence of the share no lease is asked for any more. */
  readonly canaryTimeoutMs: number;
  /** Heartbeats that come later than planned by more than this, several in a row, are not sent: the loop is stuck. */
  readonly loopDelayMaxMs: number;
}

/** Defaults (design section 5). */
export const leaseDefaults: LeaseOptions = {
  leaseMs: 1000,
  heartbeatMs: 200,
  marginMs: 100,
  canaryMs: 500,
  canaryTimeoutMs: 1000,
  loopDelayMaxMs: 500,
};

/** Clock rates may differ by a hundredth at most; less margin than that is none. */
const MARGIN_SHARE_MIN = 0.02;
const HEARTBEATS_PER_LEASE_MIN = 3;

/** The options with defaults filled in; throws INVALID_ARGUMENT for settings that leave no margin. */
export function leaseOptions(options: Partial<LeaseOptions>): LeaseOptions {
  const all = { ...leaseDefaults, ...options };
  for (const [name, value] of Object.entries(all) as [string, number][])
    if (!Number.isFinite(value) || value < 1) throw bad(`${name} is ${value}; it has to be at least 1`);
  if (all.marginMs < all.leaseMs * MARGIN_SHARE_MIN)
    throw bad(
      `marginMs ${all.marginMs} is no margin for a lease of ${all.leaseMs} ms`,
      `set marginMs to at least ${Math.ceil(all.leaseMs * MARGIN_SHARE_MIN)}`,
    );
  const usable = all.leaseMs - all.marginMs;
  if (usable < all.heartbeatMs * HEARTBEATS_PER_LEASE_MIN)
    throw bad(
      `a heartbeat each ${all.heartbeatMs} ms cannot keep a lease that is usable for ${usable} ms: one lost heartbeat would end it`,
      `set heartbeatMs to at most ${Math.floor(usable / HEARTBEATS_PER_LEASE_MIN)}, or a longer lease`,
    );
  if (all.canaryTimeoutMs < all.canaryMs)
    throw bad(`canaryTimeoutMs ${all.canaryTimeoutMs} is shorter than canaryMs ${all.canaryMs}`);
  return all;
}

function bad(message: string, next = "see docs/guarantees.md for what these times mean"): HoldfastError {
  return new HoldfastError(ErrorCode.INVALID_ARGUMENT, `node lease: ${message}`, { next });
}
