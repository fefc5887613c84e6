import { ErrorCode, HoldfastError } from "../wire/errors.js";

/** A failure of the node's own disk. `next` is what the operator should do. */
export function storageFailed(message: string, next: string, cause?: unknown): HoldfastError {
  return new HoldfastError(ErrorCode.STORAGE_FAILED, message, {
    next,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** What an operator does about a disk whose contents cannot be trusted any more. */
export const REBUILD_FROM_PEERS =
  "move the folder away, holdfast members remove NAME, then holdfast members add NEWNAME --id NEW --grpc ADDRESS and start it with cluster.join: true; it is rebuilt from its peers";

/** A broken invariant of the storage: a bug, not an operating error. */
export function invariant(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`storage invariant broken: ${what}`);
}
