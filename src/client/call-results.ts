import { ErrorCode, HoldfastError } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import type { Call } from "./call.js";
import type { Outcome } from "./outcomes.js";

/** What a followed-up call came to; `result` as `CallBook` settles with it: null says that it has not happened. */
export function outcomeOf(result: v1.IFileResponse | HoldfastError | null): Outcome {
  if (result === null) return { kind: "not-done" };
  if (result instanceof HoldfastError) return { kind: "failed", error: result };
  return { kind: "done", response: result };
}

/** Milliseconds for which an error asks not to be bothered; zero: it does not say. */
export function retryAfter(error: HoldfastError): number {
  return error.extras.retryAfterMs ?? 0;
}

/** What a caller gets whose call has not happened: at the deadline the reason says more than the deadline itself. */
export function refusal(call: Call, why: HoldfastError): HoldfastError {
  const last = call.lastError;
  if (last === null) return new HoldfastError(why.code, `${why.message}; it was not done`);
  const { cause: _cause, ...extras } = last.extras;
  return new HoldfastError(last.code, `${last.message} (${why.message}; it was not done)`, extras);
}

/** What an operation on a handle that is no more gets. */
export function handleGone(handle: { readonly lostBecause: string; readonly path: string } | undefined) {
  const because = handle?.lostBecause ? `: ${handle.lostBecause}` : "";
  return new HoldfastError(
    ErrorCode.FILE_CLOSED,
    `the handle of ${handle?.path ?? "?"} is closed${because}`,
    {
      next: "open the file again",
    },
  );
}
