import { ErrorCode, HoldfastError } from "../wire/errors.js";

/** A wrong flag: exit code 2 and the next step. */
export function usageError(message: string, next: string): HoldfastError {
  return new HoldfastError(ErrorCode.INVALID_ARGUMENT, message, { next });
}
