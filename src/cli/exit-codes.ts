import { ErrorCode, type HoldfastError } from "../wire/errors.js";

/** How the command ends; the table of `holdfast --help` and of the documentation. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** It works, but not everything is well: a node is unreachable or reports a fault. */
  degraded: 3,
  /** No node answers, or there is no quorum. */
  unavailable: 4,
  /** The world is not as the command expected: nothing was done. */
  precondition: 5,
  /** It was already so: nothing was done. */
  noChange: 6,
  /** It may or may not have happened. */
  unknown: 7,
  timeout: 124,
} as const;

const BY_CODE = new Map<ErrorCode, number>([
  [ErrorCode.INVALID_ARGUMENT, EXIT.usage],
  [ErrorCode.INVALID_PARAMETER, EXIT.usage],
  [ErrorCode.NO_QUORUM, EXIT.unavailable],
  [ErrorCode.NOT_LEADER, EXIT.unavailable],
  [ErrorCode.NOT_READY, EXIT.unavailable],
  [ErrorCode.STOPPING, EXIT.unavailable],
  [ErrorCode.LEASE_LOST, EXIT.unavailable],
  [ErrorCode.PRECONDITION_FAILED, EXIT.precondition],
  [ErrorCode.STALE_EPOCH, EXIT.precondition],
  [ErrorCode.NO_CHANGE, EXIT.noChange],
  [ErrorCode.OUTCOME_UNKNOWN, EXIT.unknown],
  [ErrorCode.DEADLINE_EXCEEDED, EXIT.timeout],
]);

/** The exit code under which an operating error ends the command. */
export function exitCodeOf(error: HoldfastError): number {
  return BY_CODE.get(error.code) ?? EXIT.failure;
}
