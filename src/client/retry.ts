import { ErrorCode } from "../wire/errors.js";

/**
 * What the library does about an error answer by itself (semantics.md G).
 *
 * - `settle`: the caller gets it.
 * - `again`: the same call under the same id, here, after a pause, marked as a repeat. It uses up nothing.
 * - `again-new`: the call was refused for the moment; asked again later under a new id.
 * - `elsewhere`: this node is the wrong one: find the right one, then send again under the same id.
 * - `reclaim`: the handle's volatile id may be out of date: reconnect the handle once, then send again.
 * - `sequence`: the slot's number is in doubt: see `Slot.fallBack`.
 */
export type Reaction = "settle" | "again" | "again-new" | "elsewhere" | "reclaim" | "sequence";

const REACTIONS = new Map<ErrorCode, Reaction>([
  [ErrorCode.NOT_LEADER, "again"],
  [ErrorCode.NO_QUORUM, "again"],
  [ErrorCode.NOT_READY, "again"],
  [ErrorCode.FROZEN, "again"],
  [ErrorCode.LEASE_LOST, "again"],
  [ErrorCode.OVERLOADED, "again"],
  [ErrorCode.OUTCOME_UNKNOWN, "again"],
  [ErrorCode.SERVER_UNAVAILABLE, "again"],
  [ErrorCode.SHARE_UNAVAILABLE, "again"],
  [ErrorCode.FILE_NOT_AVAILABLE, "again-new"],
  [ErrorCode.NOT_OWNER, "elsewhere"],
  [ErrorCode.STALE_EPOCH, "elsewhere"],
  [ErrorCode.STOPPING, "elsewhere"],
  // Not cancelled by us: this stream was superseded, or its node gave up what waited on it.
  [ErrorCode.CANCELLED, "elsewhere"],
  [ErrorCode.USER_SESSION_DELETED, "elsewhere"],
  [ErrorCode.UNKNOWN_SESSION, "elsewhere"],
  [ErrorCode.FILE_CLOSED, "reclaim"],
  [ErrorCode.SEQUENCE_MISORDERED, "sequence"],
]);

/** The library's reaction to an error answer of a call. */
export function reactionTo(code: ErrorCode): Reaction {
  return REACTIONS.get(code) ?? "settle";
}

/**
 * Refusals that may come after the deed: a node looks at its lease and its ownership before it starts, and once more
 * before it answers (design section 5).
 */
export function leavesOpen(code: ErrorCode): boolean {
  return code === ErrorCode.OUTCOME_UNKNOWN || code === ErrorCode.LEASE_LOST || code === ErrorCode.NOT_OWNER;
}

/** Codes by which a node says that it cannot serve sessions now; when they last, another node is tried. */
export function nodeIsUnwell(code: ErrorCode): boolean {
  return code === ErrorCode.LEASE_LOST || code === ErrorCode.NOT_READY || code === ErrorCode.NO_QUORUM;
}

/** The session itself is gone: resuming it anywhere is pointless. */
export function sessionIsGone(code: ErrorCode): boolean {
  return code === ErrorCode.UNKNOWN_SESSION || code === ErrorCode.USER_SESSION_DELETED;
}

/** Trying this step at another node or later cannot help: the caller has to change something. */
export function isFatal(code: ErrorCode): boolean {
  return FATAL.has(code);
}

/**
 * The same for the opening of a session: the leader has no room for a new one, whichever node passes the call on. A
 * caller told at once can do something about it; one that waits out its deadline learns the same ten seconds later.
 */
export function refusesOpening(code: ErrorCode): boolean {
  return isFatal(code) || code === ErrorCode.DISK_FULL;
}

const FATAL = new Set<ErrorCode>([
  ErrorCode.INVALID_ARGUMENT,
  ErrorCode.INVALID_PARAMETER,
  ErrorCode.LIMIT_EXCEEDED,
  ErrorCode.UNSUPPORTED_VERSION,
  ErrorCode.UNAUTHENTICATED,
  ErrorCode.PERMISSION_DENIED,
  ErrorCode.ACCESS_DENIED,
  ErrorCode.WRONG_CLUSTER,
]);
