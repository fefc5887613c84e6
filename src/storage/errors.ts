import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { storageMutants } from "./mutants.js";

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

/**
 * Whether an error says that what is stored is not what was written: then the folder is of no use any more, and the node
 * may not go on with it. A disk that is full, or whose writes fail, may be mended.
 */
export function isDamage(error: unknown): boolean {
  return (
    error instanceof HoldfastError &&
    error.code === ErrorCode.STORAGE_FAILED &&
    error.extras.next === REBUILD_FROM_PEERS
  );
}

/**
 * Why a database may not be opened that ends with synced batch `synced` where `acknowledged` were acknowledged; null when
 * it may. A log that is damaged in the middle ends there for RocksDB, which says nothing about it.
 */
export function lostWrites(folder: string, acknowledged: number, synced: number): HoldfastError | null {
  if (synced >= acknowledged || storageMutants.lostWritesAccepted) return null;
  return storageFailed(
    `data folder ${folder} has lost acknowledged writes: it acknowledged ${acknowledged} synced batches and holds ${synced}`,
    REBUILD_FROM_PEERS,
  );
}

/** A broken invariant of the storage: a bug, not an operating error. */
export function invariant(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`storage invariant broken: ${what}`);
}
