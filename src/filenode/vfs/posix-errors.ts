import { ErrorCode, HoldfastError } from "../../wire/errors.js";

const CODES: Record<string, ErrorCode> = {
  ENOENT: ErrorCode.OBJECT_NAME_NOT_FOUND,
  EEXIST: ErrorCode.OBJECT_NAME_COLLISION,
  ENOTDIR: ErrorCode.NOT_A_DIRECTORY,
  EISDIR: ErrorCode.FILE_IS_A_DIRECTORY,
  ENOTEMPTY: ErrorCode.DIRECTORY_NOT_EMPTY,
  ELOOP: ErrorCode.ACCESS_DENIED,
  EACCES: ErrorCode.ACCESS_DENIED,
  EPERM: ErrorCode.ACCESS_DENIED,
  EROFS: ErrorCode.ACCESS_DENIED,
  ETXTBSY: ErrorCode.SHARING_VIOLATION,
  EBUSY: ErrorCode.SHARING_VIOLATION,
  ENAMETOOLONG: ErrorCode.OBJECT_NAME_INVALID,
  EILSEQ: ErrorCode.OBJECT_NAME_INVALID,
  ENOSPC: ErrorCode.DISK_FULL,
  EDQUOT: ErrorCode.DISK_FULL,
  EFBIG: ErrorCode.LIMIT_EXCEEDED,
  EMFILE: ErrorCode.TOO_MANY_OPENED_FILES,
  ENFILE: ErrorCode.TOO_MANY_OPENED_FILES,
  EMLINK: ErrorCode.LIMIT_EXCEEDED,
  EXDEV: ErrorCode.NOT_SUPPORTED,
  EOPNOTSUPP: ErrorCode.NOT_SUPPORTED,
  ESTALE: ErrorCode.FILE_NOT_AVAILABLE,
  EINVAL: ErrorCode.INVALID_PARAMETER,
};

/** The errno name of something thrown by node:fs, or the empty string. */
export function errnoOf(thrown: unknown): string {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

/** What the operating system said, as a file status; `what` names the operation and the path for people. */
export function fileError(thrown: unknown, what: string): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown;
  const errno = errnoOf(thrown);
  const code = CODES[errno] ?? ErrorCode.STORAGE_FAILED;
  const reason = errno === "" ? String(thrown) : errno;
  return new HoldfastError(code, `${what}: ${reason}`, { cause: thrown });
}
