import type { Operation } from "./history.js";

/** How long before the call without a place others are told, too. */
const BEFORE_US = 5_000_000;

/**
 * Why a history fits into no order, for people: the first operation in time that found no place in the longest order, and
 * what went on around it. Empty when all that were answered found one.
 */
export function explain<I, O>(
  history: readonly Operation<I, O>[],
  longest: readonly number[],
  describe: (operation: Operation<I, O>) => string,
): string {
  const placed = new Set(longest);
  const stuck = history
    .filter(({ output }, position) => output !== null && !placed.has(position))
    .sort((a, b) => a.returnUs - b.returnUs)[0];
  if (stuck === undefined) return "";
  const around = history
    .filter(({ callUs, returnUs }) => callUs <= stuck.returnUs && returnUs >= stuck.callUs - BEFORE_US)
    .sort((a, b) => a.callUs - b.callUs)
    .map(describe);
  return `; without a place: ${describe(stuck)}; around it: ${around.join("; ")}`;
}
