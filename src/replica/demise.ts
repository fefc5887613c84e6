import { isDamage } from "../storage/errors.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { EXIT_DATA_DAMAGED, EXIT_STORAGE_FAILED } from "./deps.js";

/** Why a member cannot go on. */
export interface Demise {
  /** In words for whoever asks the member from now on. */
  readonly dead: string;
  /** What the log says about the node. */
  readonly said: string;
  readonly code: ErrorCode;
  readonly exitCode: number;
  /** What an operator can do; undefined when it is the usual step for this exit code. */
  readonly next?: string | undefined;
}

/** What an error that a member cannot survive means: a disk that failed or is damaged, or data of a newer version. */
export function demiseOf(member: string, error: Error): Demise {
  // To leave out what is not understood would part this member from the rest.
  if (error instanceof HoldfastError && error.code === ErrorCode.UNSUPPORTED_VERSION)
    return {
      dead: `${member} is older than its cluster: ${error.message}`,
      said: "this version is too old; this node stops",
      code: error.code,
      exitCode: EXIT_DATA_DAMAGED,
      next: error.extras.next,
    };
  const damaged = isDamage(error);
  return {
    dead: `the disk of ${member} ${damaged ? "is damaged" : "failed"}: ${error.message}`,
    said: "the disk failed; this node stops",
    code: ErrorCode.STORAGE_FAILED,
    exitCode: damaged ? EXIT_DATA_DAMAGED : EXIT_STORAGE_FAILED,
  };
}
