import { ErrorCode, HoldfastError } from "../../wire/errors.js";

/**
 * After a sync failed with an I/O error the kernel may have dropped the dirty pages and call the next sync a success
 * (lessons L10, L21). So the first such failure ends all writing to the share from this process.
 */
export class SyncGuard {
  private failure: HoldfastError | null = null;

  constructor(private readonly onFailure: (error: HoldfastError) => void) {}

  /** Throws once a sync has failed. */
  check(): void {
    if (this.failure !== null) throw this.failure;
  }

  /** Takes note of a failed sync and answers the error to throw. A full disk may be emptied, an I/O error may not. */
  failed(errno: string, error: HoldfastError): HoldfastError {
    if (errno !== "EIO" || this.failure !== null) return error;
    this.failure = new HoldfastError(
      ErrorCode.STORAGE_FAILED,
      `the share refused a sync (${error.message}); this node writes to it no more`,
      { next: "check the storage, then restart the node", cause: error },
    );
    this.onFailure(this.failure);
    return this.failure;
  }
}
