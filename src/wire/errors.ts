import { v1 } from "./index.js";

/** Why a call did not do what was asked; see `common.proto`. */
export type ErrorCode = v1.ErrorCode;
/** The codes by name. */
export const ErrorCode = v1.ErrorCode;

/** What an error may carry besides code and message: everything that lets a caller go on by itself. */
export interface ErrorExtras {
  /** The next command or step to try. */
  readonly next?: string;
  readonly owner?: v1.INodeAddress;
  readonly epoch?: number;
  readonly leader?: v1.INodeAddress;
  readonly retryAfterMs?: number;
  readonly node?: string;
  readonly requestId?: string;
  /** With NOT_OWNER about a handle that moved alone: the session in which it is now. */
  readonly sessionId?: number;
  readonly cause?: unknown;
}

/**
 * The one error type for operating errors: something that can happen to correct code. Broken invariants are
 * assertions and stop the process instead.
 */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  readonly code: ErrorCode;
  readonly extras: ErrorExtras;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.code = code;
    this.extras = extras;
  }

  /** The code's name as it stands in the contract: "STALE_EPOCH". */
  get codeName(): string {
    return v1.ErrorCode[this.code] ?? String(this.code);
  }

  /** The wire form. */
  toDetail(): v1.IErrorDetail {
    return errorDetail(this.code, this.message, this.extras);
  }

  /** From the wire form. */
  static fromDetail(detail: v1.IErrorDetail): HoldfastError {
    return new HoldfastError(detail.code ?? v1.ErrorCode.INTERNAL, detail.message ?? "", {
      ...(detail.next ? { next: detail.next } : {}),
      ...(detail.owner ? { owner: detail.owner } : {}),
      ...(detail.epoch ? { epoch: detail.epoch } : {}),
      ...(detail.leader ? { leader: detail.leader } : {}),
      ...(detail.retryAfterMs ? { retryAfterMs: detail.retryAfterMs } : {}),
      ...(detail.node ? { node: detail.node } : {}),
      ...(detail.requestId ? { requestId: detail.requestId } : {}),
      ...(detail.sessionId ? { sessionId: detail.sessionId } : {}),
    });
  }

  /** Anything that was thrown, as one of ours. Unknown things become INTERNAL and keep their cause. */
  static from(thrown: unknown): HoldfastError {
    if (thrown instanceof HoldfastError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new HoldfastError(v1.ErrorCode.INTERNAL, message, { cause: thrown });
  }
}

/** Builds a wire error without building an Error: no stack is captured, which counts on hot paths. */
export function errorDetail(code: ErrorCode, message: string, extras: ErrorExtras = {}): v1.IErrorDetail {
  const detail: v1.IErrorDetail = { code, message };
  if (extras.next !== undefined) detail.next = extras.next;
  if (extras.owner !== undefined) detail.owner = extras.owner;
  if (extras.epoch !== undefined) detail.epoch = extras.epoch;
  if (extras.leader !== undefined) detail.leader = extras.leader;
  if (extras.retryAfterMs !== undefined) detail.retryAfterMs = extras.retryAfterMs;
  if (extras.node !== undefined) detail.node = extras.node;
  if (extras.requestId !== undefined) detail.requestId = extras.requestId;
  if (extras.sessionId !== undefined) detail.sessionId = extras.sessionId;
  return detail;
}
