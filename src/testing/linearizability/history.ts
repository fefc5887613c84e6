/** One operation of a client, as seen from outside. Times are virtual microseconds. */
export interface Operation<I, O> {
  /** Clients issue one operation at a time. */
  readonly client: number;
  readonly input: I;
  readonly callUs: number;
  /** Infinity when the outcome is unknown: it may take effect at any time from the call on, or never. */
  readonly returnUs: number;
  /** Null when the outcome is unknown. */
  readonly output: O | null;
}

/** What a correct object does, one operation after the other. States are compared through `key`. */
export interface SequentialModel<S, I, O> {
  readonly initial: S;
  /**
   * The state after `input`, or null when a correct object in this state could not have answered `output`. With output
   * null (unknown outcome) every answer is possible.
   */
  step(state: S, input: I, output: O | null): S | null;
  /** Equal for equal states, different for different ones. */
  key(state: S): string;
}

/** Splits a history into independent parts; each part is linearizable exactly when the whole is. */
export function partition<I, O>(
  history: readonly Operation<I, O>[],
  partOf: (operation: Operation<I, O>) => string,
): Operation<I, O>[][] {
  const parts = new Map<string, Operation<I, O>[]>();
  for (const operation of history) {
    const name = partOf(operation);
    const part = parts.get(name);
    if (part === undefined) parts.set(name, [operation]);
    else part.push(operation);
  }
  return [...parts.values()];
}
