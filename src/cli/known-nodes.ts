import { v1 } from "../wire/index.js";
import { askAny } from "./admin-client.js";

const { NODE_UP } = v1.NodeStatus;

/** A node of the cluster as its state names it. */
export interface KnownNode {
  readonly name: string;
  readonly grpcAddress: string;
}

/**
 * The nodes in the state of whoever answers, without a quorum: what is down must still be named. Empty when nobody does.
 *
 * @param reachable addresses that have answered before
 */
export async function knownNodes(reachable: readonly string[], timeoutMs: number): Promise<KnownNode[]> {
  if (reachable.length === 0) return [];
  try {
    const reply = await askAny(reachable, "ListMembers", { stale: true }, timeoutMs);
    const nodes = await askAny(reachable, "ListNodes", { stale: true }, timeoutMs);
    const all = new Map<string, KnownNode>();
    // A file server that is not ours has no Admin service to ask, and a member that was removed need not come back: as
    // long as it was waited for, nothing would ever be well again. `holdfast nodes` shows both.
    const ours = (nodes.nodes ?? []).filter((node) => node.foreign !== true && node.status === NODE_UP);
    for (const node of [...(reply.members ?? []), ...ours]) {
      const name = node.name ?? "";
      if (!all.has(name)) all.set(name, { name, grpcAddress: node.grpcAddress ?? "" });
    }
    return [...all.values()];
  } catch {
    return [];
  }
}
