import { Violation } from "../sim/simulation.js";

/** Equal digests at equal applied index: catches a state machine that is not deterministic, and a damaged snapshot. */
export class StateDigest {
  private readonly known = new Map<number, { readonly digest: number; readonly node: number }>();

  /** The state of `node` at applied index `index` has this digest. */
  observe(node: number, index: number, digest: number): void {
    const other = this.known.get(index);
    if (other === undefined) this.known.set(index, { digest, node });
    else if (other.digest !== digest) {
      throw new Violation(
        "equal state digests",
        `at applied index ${index} member ${node} has digest ${digest}, member ${other.node} had ${other.digest}`,
      );
    }
  }
}
