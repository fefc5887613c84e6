import { hashNumber, hashText } from "../hash.js";
import { rendezvous } from "../rules/rendezvous.js";
import type { NodeRow } from "../tables/records.js";
import type { Tx } from "../tx.js";

interface Candidate {
  readonly name: string;
  readonly weight: number;
  readonly node: NodeRow;
}

const SESSION_SEED = 0x53455353;
const KEY_SEED = 0x4b455953;

/**
 * Nodes that may take over sessions: ours, up, not cordoned or draining. When every node that is up is cordoned they may
 * all the same: a session without an owner is worse than one on a node that should get no new ones.
 */
export function sessionCandidates(tx: Tx, except: string): Candidate[] {
  const up = [...tx.store.nodes.values()].filter(
    (node) => node.up && !node.r.foreign && node.r.name !== except,
  );
  const open = up.filter((node) => !node.r.cordoned && !node.r.draining);
  return (open.length > 0 ? open : up).map(candidate);
}

/** Nodes that may take over the keys of a file server: those of its group. Its state means something only to its like. */
export function keyCandidates(tx: Tx, of: NodeRow): Candidate[] {
  const group = of.r.labels?.["group"] ?? "";
  return [...tx.store.nodes.values()]
    .filter(
      (node) =>
        node.up &&
        node !== of &&
        node.r.foreign === of.r.foreign &&
        (node.r.labels?.["group"] ?? "") === group &&
        !node.r.cordoned,
    )
    .map(candidate);
}

/** The node for a session, or for anything else with a number. */
export function placeNumber(candidates: readonly Candidate[], number: number): NodeRow | null {
  return rendezvous(hashNumber(number, SESSION_SEED), candidates)?.node ?? null;
}

/** The node for a resume key or a handle. */
export function placeText(candidates: readonly Candidate[], text: string): NodeRow | null {
  return rendezvous(hashText(text, KEY_SEED), candidates)?.node ?? null;
}

function candidate(node: NodeRow): Candidate {
  return { name: node.r.name, weight: node.r.weight, node };
}
