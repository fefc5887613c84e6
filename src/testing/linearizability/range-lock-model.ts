import type { SequentialModel } from "./history.js";

/** A byte range; `end` is exclusive and above `start`. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** What a holder (one open) asks of a file's byte-range locks. */
export type RangeLockInput =
  | { readonly lock: Range; readonly exclusive: boolean; readonly holder: string }
  | { readonly unlock: Range; readonly holder: string }
  | { readonly close: true; readonly holder: string };

/** Whether it was granted, held, or there to be closed. */
export interface RangeLockOutput {
  readonly done: boolean;
}

interface Held extends Range {
  readonly holder: string;
  readonly exclusive: boolean;
}

/**
 * The byte-range locks of one file, one request after the other (semantics.md F2): exclusive ones exclude everybody,
 * their own holder's further exclusive ones included; shared ones exclude exclusive ones; each lock takes one unlock.
 */
export const rangeLockModel: SequentialModel<readonly Held[], RangeLockInput, RangeLockOutput> = {
  initial: [],
  step(state, input, output) {
    if ("close" in input) return state.filter(({ holder }) => holder !== input.holder);
    if ("unlock" in input) {
      const at = state.findIndex(
        ({ holder, start, end }) =>
          holder === input.holder && start === input.unlock.start && end === input.unlock.end,
      );
      if (output !== null && output.done !== at >= 0) return null;
      return at < 0 ? state : state.toSpliced(at, 1);
    }
    const wanted = { ...input.lock, holder: input.holder, exclusive: input.exclusive };
    const free = !state.some((held) => conflict(held, wanted));
    if (output !== null && output.done !== free) return null;
    return free ? [...state, wanted] : state;
  },
  key: (state) =>
    state
      .map(({ holder, start, end, exclusive }) => `${holder}${exclusive ? "!" : ":"}${start}-${end}`)
      .sort()
      .join(" "),
};

function conflict(held: Held, wanted: Held): boolean {
  if (held.start >= wanted.end || wanted.start >= held.end) return false;
  if (!held.exclusive) return wanted.exclusive;
  return held.holder !== wanted.holder || wanted.exclusive;
}
