import { hashText, log2Fixed } from "../hash.js";
import { mutant } from "../mutants.js";

/** A node that may get something. */
export interface RendezvousCandidate {
  readonly name: string;
  /** Relative share; zero counts as 100. */
  readonly weight: number;
}

const FULL = 32 * 4096;
let calls = 0;

/**
 * Chooses a node for `key` (a hash) so that every member chooses the same one, each node gets its weighted share, and a
 * node that leaves moves only what it had. Weighted rendezvous hashing: each node draws -log(h)/weight, the smallest
 * wins; in integers, because floating-point logarithms may differ between members. Null without candidates.
 */
export function rendezvous<C extends RendezvousCandidate>(key: number, candidates: readonly C[]): C | null {
  let best: C | null = null;
  let bestDraw = 0;
  const seed = mutant.rendezvousByMember ? key ^ ++calls : key;
  for (const candidate of candidates) {
    const hash = hashText(candidate.name, seed) >>> 0;
    const draw = FULL - log2Fixed(hash === 0 ? 1 : hash);
    const left = best === null ? 0 : draw * weightOf(best);
    const right = best === null ? 0 : bestDraw * weightOf(candidate);
    if (best === null || left < right || (left === right && candidate.name < best.name)) {
      best = candidate;
      bestDraw = draw;
    }
  }
  return best;
}

function weightOf(candidate: RendezvousCandidate): number {
  return candidate.weight || 100;
}
