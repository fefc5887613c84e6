import { ErrorCode, HoldfastError } from "../wire/errors.js";

/** A wrong flag: exit code 2 and the next step. */
export function usageError(message: string, next: string): HoldfastError {
  return new HoldfastError(ErrorCode.INVALID_ARGUMENT, message, { next });
}

/** Candidates that an ambiguous word names in its error. */
const NAMED = 5;

/** A beginning of an id that several have: which they are, as `explain` tells it too. */
export function ambiguous(noun: string, text: string, found: readonly string[], next: string): HoldfastError {
  const some = `${found.slice(0, NAMED).join(", ")}${found.length > NAMED ? ", ..." : ""}`;
  return usageError(`${noun} that begin with ${text}: ${some}; more of the id is needed`, next);
}
