import type { Operation } from "./history.js";
import type { RangeLockInput, RangeLockOutput } from "./range-lock-model.js";

type LockOperation = Operation<RangeLockInput, RangeLockOutput>;

/**
 * The history without refusals that fairness explains. Whoever does not wait is refused while an earlier request for a
 * range that meets his is under way, whatever becomes of that one (semantics of waiting locks, docs/decisions.md); no
 * order of grants alone tells why. A refusal changes nothing, so the rest of the history means the same without it.
 * A refusal beside which no such request ran has to be explained by a lock that somebody held.
 */
export function withoutFairRefusals(history: readonly LockOperation[]): LockOperation[] {
  return history.filter(
    (refused) =>
      !isRefusedLock(refused) || !history.some((other) => other !== refused && explains(other, refused)),
  );
}

function isRefusedLock({ input, output }: LockOperation): boolean {
  return "lock" in input && output !== null && !output.done;
}

/** True for a lock request of somebody else, for a range that meets it, that was under way at the same time. */
function explains(other: LockOperation, refused: LockOperation): boolean {
  const [a, b] = [other.input, refused.input];
  if (!("lock" in a) || !("lock" in b) || a.holder === b.holder) return false;
  const atOnce = other.callUs <= refused.returnUs && refused.callUs <= other.returnUs;
  const meet = a.lock.start < b.lock.end && b.lock.start < a.lock.end;
  return atOnce && meet && (a.exclusive || b.exclusive);
}
