import type { Replica } from "../../replica/api.js";
import type { Clock } from "../../runtime/api.js";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import type { v1 } from "../../wire/index.js";

/** Between two questions, at first and at most: each is an entry of the log. */
const RETRY_MS = 20;
const RETRY_MS_MAX = 500;

/**
 * Closes a handle in the name of an operator. The node that serves it ends first what runs on it, and this waits for that:
 * after the answer nothing lands through the handle any more. Throws NOT_READY with what it waits for, after the time of a
 * call; the handle may still be closed later, and asking again is harmless.
 */
export async function closeHandle(
  parts: { readonly replica: Replica; readonly clock: Clock; readonly timeoutMs: number },
  request: v1.IForceClose,
  sleep: (ms: number) => Promise<void>,
): Promise<v1.ICommandResult> {
  const { replica, clock } = parts;
  const deadlineMs = clock.monotonicMs() + parts.timeoutMs;
  for (let asked = false, pauseMs = RETRY_MS; ; asked = true, pauseMs = Math.min(2 * pauseMs, RETRY_MS_MAX)) {
    const result = await replica.propose({ forceClose: { ...request, whenIdle: true } }, { deadlineMs });
    if (!result.error) return result;
    const error = HoldfastError.fromDetail(result.error);
    // Its owner has closed it, as it was asked to.
    if (asked && (error.code === ErrorCode.NO_CHANGE || error.code === ErrorCode.UNKNOWN_HANDLE))
      return { handle: replica.state.handle(request.handleId ?? new Uint8Array(0)) ?? null };
    if (error.code !== ErrorCode.NOT_READY || clock.monotonicMs() + pauseMs >= deadlineMs) throw error;
    await sleep(pauseMs);
  }
}
