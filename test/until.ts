/** Polls until `check` answers something true; fails at the deadline with the last error or `what`. */
export async function until<T>(
  what: string,
  withinMs: number,
  check: () => Promise<T> | T,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + withinMs;
  let last = "";
  for (;;) {
    try {
      const value = await check();
      if (value) return value as NonNullable<T>;
      last = "";
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() > deadline)
      throw new Error(`not within ${withinMs} ms: ${what}${last === "" ? "" : ` (${last})`}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
