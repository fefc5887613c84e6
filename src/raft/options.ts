import type { RaftOptions } from "./api.js";

/** For limits that shall not limit. */
export const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/** Largest id: ids travel as unsigned 32 bit numbers. */
export const RAFT_ID_MAX = 2 ** 32 - 1;

/** Bound of one election timeout in ticks: far beyond sense, it only keeps arithmetic in small integers. */
export const TICKS_MAX = 1_000_000;

/**
 * What is wrong with the settings, in words for an operator; empty when they are fine. Never throws, so that a caller
 * can show all problems at once.
 */
export function validateOptions(options: RaftOptions): string[] {
  const problems: string[] = [];
  const whole = (name: string, value: number, min: number, max: number): void => {
    if (!Number.isInteger(value) || value < min || value > max) {
      problems.push(`${name} must be a whole number from ${min} to ${max}, but is ${value}`);
    }
  };
  whole("id", options.id, 1, RAFT_ID_MAX);
  whole("heartbeatTicks", options.heartbeatTicks, 1, TICKS_MAX);
  whole("electionTicks", options.electionTicks, 2, TICKS_MAX);
  if (options.electionTicks <= options.heartbeatTicks) {
    problems.push(
      `electionTicks (${options.electionTicks}) must be greater than heartbeatTicks (${options.heartbeatTicks})`,
    );
  }
  whole("appendBytesMax", options.appendBytesMax, 0, NO_LIMIT);
  whole("inflightMessagesMax", options.inflightMessagesMax, 1, NO_LIMIT);
  whole("inflightBytesMax", options.inflightBytesMax, 1, NO_LIMIT);
  whole("uncommittedBytesMax", options.uncommittedBytesMax, 1, NO_LIMIT);
  whole("committedBytesMax", options.committedBytesMax, 1, NO_LIMIT);
  if (options.appendBytesMax !== NO_LIMIT && options.inflightBytesMax < options.appendBytesMax) {
    problems.push(
      `inflightBytesMax (${options.inflightBytesMax}) must be at least appendBytesMax (${options.appendBytesMax}), ` +
        "or one full append never fits the window",
    );
  }
  problems.push(...leaseProblems(options));
  return problems;
}

/**
 * Lease reads lean on two promises of the others: they refuse votes while they hear a leader (CheckQuorum), and their
 * clocks do not run faster than the drift that the caller subtracted from the duration.
 */
function leaseProblems(options: RaftOptions): string[] {
  if (options.readMode !== "lease") return [];
  const problems: string[] = [];
  if (!options.checkQuorum)
    problems.push('readMode "lease" needs checkQuorum on all members; use "read-index"');
  if (options.lease === undefined) {
    problems.push('readMode "lease" needs lease.nowMs and lease.durationMs; use "read-index" or set them');
  } else if (!(options.lease.durationMs > 0)) {
    problems.push(`lease.durationMs must be greater than 0, but is ${options.lease.durationMs}`);
  }
  return problems;
}
