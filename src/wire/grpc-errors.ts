import { Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { ErrorCode, HoldfastError } from "./errors.js";
import { v1 } from "./index.js";

/** Trailer that carries the encoded ErrorDetail of a failed unary call. */
export const ERROR_DETAIL_TRAILER = "holdfast-error-bin";

const STATUS_BY_CODE = new Map<ErrorCode, status>([
  [ErrorCode.INVALID_ARGUMENT, status.INVALID_ARGUMENT],
  [ErrorCode.INVALID_PARAMETER, status.INVALID_ARGUMENT],
  [ErrorCode.OBJECT_NAME_INVALID, status.INVALID_ARGUMENT],
  [ErrorCode.INVALID_LOCK_RANGE, status.INVALID_ARGUMENT],
  [ErrorCode.LIMIT_EXCEEDED, status.RESOURCE_EXHAUSTED],
  [ErrorCode.OVERLOADED, status.RESOURCE_EXHAUSTED],
  [ErrorCode.TOO_MANY_OPENED_FILES, status.RESOURCE_EXHAUSTED],
  [ErrorCode.DISK_FULL, status.RESOURCE_EXHAUSTED],
  [ErrorCode.UNSUPPORTED_VERSION, status.FAILED_PRECONDITION],
  [ErrorCode.WRONG_CLUSTER, status.FAILED_PRECONDITION],
  [ErrorCode.UNAUTHENTICATED, status.UNAUTHENTICATED],
  [ErrorCode.PERMISSION_DENIED, status.PERMISSION_DENIED],
  [ErrorCode.ACCESS_DENIED, status.PERMISSION_DENIED],
  [ErrorCode.DEADLINE_EXCEEDED, status.DEADLINE_EXCEEDED],
  [ErrorCode.CANCELLED, status.CANCELLED],
  [ErrorCode.INTERNAL, status.INTERNAL],
  [ErrorCode.STORAGE_FAILED, status.DATA_LOSS],
  [ErrorCode.NOT_SUPPORTED, status.UNIMPLEMENTED],
  [ErrorCode.OBJECT_NAME_COLLISION, status.ALREADY_EXISTS],
  [ErrorCode.DUPLICATE_OBJECTID, status.ALREADY_EXISTS],
  [ErrorCode.STALE_EPOCH, status.ABORTED],
  [ErrorCode.REQUEST_MISMATCH, status.ABORTED],
  [ErrorCode.FILE_CLOSED, status.ABORTED],
  [ErrorCode.FILE_FORCED_CLOSED, status.ABORTED],
  [ErrorCode.COMPACTED, status.OUT_OF_RANGE],
  [ErrorCode.END_OF_FILE, status.OUT_OF_RANGE],
]);

const RETRY_CODES = new Set<ErrorCode>([
  ErrorCode.NOT_LEADER,
  ErrorCode.NO_QUORUM,
  ErrorCode.NOT_OWNER,
  ErrorCode.LEASE_LOST,
  ErrorCode.NOT_READY,
  ErrorCode.FROZEN,
  ErrorCode.STOPPING,
  ErrorCode.OUTCOME_UNKNOWN,
  ErrorCode.FILE_NOT_AVAILABLE,
  ErrorCode.SERVER_UNAVAILABLE,
  ErrorCode.SHARE_UNAVAILABLE,
]);

const NOT_FOUND_CODES = new Set<ErrorCode>([
  ErrorCode.UNKNOWN_NODE,
  ErrorCode.UNKNOWN_SESSION,
  ErrorCode.UNKNOWN_SHARE,
  ErrorCode.UNKNOWN_HANDLE,
  ErrorCode.UNKNOWN_KEY,
  ErrorCode.UNKNOWN_OPERATION,
  ErrorCode.UNKNOWN_MEMBER,
  ErrorCode.UNKNOWN_FAILOVER,
  ErrorCode.OBJECT_NAME_NOT_FOUND,
  ErrorCode.OBJECT_PATH_NOT_FOUND,
  ErrorCode.USER_SESSION_DELETED,
]);

/** The gRPC status under which a code travels: what a client that knows nothing of details should do. */
function grpcStatus(code: ErrorCode): status {
  if (RETRY_CODES.has(code)) return status.UNAVAILABLE;
  if (NOT_FOUND_CODES.has(code)) return status.NOT_FOUND;
  return STATUS_BY_CODE.get(code) ?? status.FAILED_PRECONDITION;
}

/** For a server: the error of a unary call or the end of a stream, with the typed detail in the trailer. */
export function toServiceError(thrown: unknown): Partial<ServiceError> {
  const error = HoldfastError.from(thrown);
  const metadata = new Metadata();
  metadata.set(ERROR_DETAIL_TRAILER, Buffer.from(v1.ErrorDetail.encode(error.toDetail()).finish()));
  const next = error.extras.next === undefined ? "" : `. Next: ${error.extras.next}`;
  return { code: grpcStatus(error.code), details: `${error.codeName}: ${error.message}${next}`, metadata };
}

/** For a client: the typed error behind a failed call; transport failures become NO_QUORUM's sibling NOT_READY. */
export function fromServiceError(error: ServiceError): HoldfastError {
  const detail = error.metadata?.get(ERROR_DETAIL_TRAILER)[0];
  if (detail instanceof Uint8Array) {
    try {
      return HoldfastError.fromDetail(v1.ErrorDetail.decode(detail));
    } catch {
      // A detail that cannot be read is no reason to lose the status beside it.
    }
  }
  if (error.code === status.DEADLINE_EXCEEDED)
    return new HoldfastError(ErrorCode.DEADLINE_EXCEEDED, error.details, { cause: error });
  if (error.code === status.CANCELLED)
    return new HoldfastError(ErrorCode.CANCELLED, error.details, { cause: error });
  if (error.code === status.UNAVAILABLE)
    return new HoldfastError(ErrorCode.NOT_READY, error.details, { cause: error });
  return new HoldfastError(ErrorCode.INTERNAL, `${status[error.code] ?? error.code}: ${error.details}`, {
    cause: error,
  });
}
