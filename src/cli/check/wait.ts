import { ErrorCode, HoldfastError } from "../../wire/errors.js";

/** Resolves after so long. */
export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until there is an answer other than undefined; errors count as none. Rejects with DEADLINE_EXCEEDED. */
export async function pollUntil<T>(
  what: string,
  withinMs: number,
  next: string,
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await Promise.resolve()
      .then(look)
      .catch(() => undefined);
    if (value !== undefined) return value;
    if (performance.now() > deadline)
      throw new HoldfastError(ErrorCode.DEADLINE_EXCEEDED, `not within ${withinMs} ms: ${what}`, { next });
    await sleep(20);
  }
}
