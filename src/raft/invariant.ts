/**
 * A promise of the core was broken: by a bug in it, by a caller that does not keep the contract, or by a disk that lost
 * what it had acknowledged. Nothing sensible can follow, so the node must stop (raft.md 2.13).
 */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
  constructor(
    readonly invariant: string,
    readonly left: number | string,
    readonly right: number | string,
  ) {
    super(`${invariant}: ${left} against ${right}`);
  }
}

/** The leader calls committed what this member acknowledged, and its log ends below: its disk has lost it (lesson L21). */
export const COMMIT_WITHIN_LOG = "commit index within the log (has a disk lost what it acknowledged?)";

/**
 * Fails with both values named. Callers test the condition themselves, so that nothing is built or boxed on the
 * hot path while the promise holds.
 */
export function broken(invariant: string, left: number | string, right: number | string): never {
  throw new InvariantError(invariant, left, right);
}
