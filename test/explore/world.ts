import type { RaftId } from "../../src/raft/index.js";
import { mixed, otherId } from "./mirror.js";
import type { Flight, NodeState } from "./node-space.js";

/** What the actions of a path have used up. */
export interface Budget {
  /** Counted only where a scope bounds them. */
  readonly timeouts: number;
  readonly proposals: number;
  readonly crashes: number;
  readonly duplicates: number;
  readonly heartbeats: number;
  readonly confChanges: number;
}

/** What a history has shown, beyond what the members remember of it. */
export interface Ghosts {
  /** Who led each term, by term. */
  readonly leaders: readonly (RaftId | undefined)[];
  /** Term of every entry that any member has held committed, by index. */
  readonly committed: readonly (number | undefined)[];
}

/** One state of the whole group; never changed. */
export interface World {
  readonly nodes: readonly NodeState[];
  /** Messages on their way, ascending by number, each at most once. */
  readonly network: readonly Flight[];
  readonly budget: Budget;
  readonly ghosts: Ghosts;
}

/** A leader of its term, or more committed entries, become part of the history. */
export function remember(ghosts: Ghosts, node: NodeState): Ghosts {
  const { core } = node;
  let { leaders, committed } = ghosts;
  if (core.role === "leader" && leaders[core.term] === undefined) {
    const next = leaders.slice();
    next[core.term] = core.id;
    leaders = next;
  }
  if (core.log.committed >= core.log.first && committed[core.log.committed] === undefined) {
    const next = committed.slice();
    for (let i = core.log.first; i <= core.log.committed; i++) next[i] ??= core.log.term(i);
    committed = next;
  }
  return leaders === ghosts.leaders && committed === ghosts.committed ? ghosts : { leaders, committed };
}

/** The network with what was sent, in order and without repetition. */
export function withSent(network: readonly Flight[], sent: readonly Flight[]): readonly Flight[] {
  if (sent.length === 0) return network;
  const all = network.slice();
  for (const flight of sent) {
    let at = all.length;
    while (at > 0 && (all[at - 1] as Flight).number > flight.number) at--;
    if (at === 0 || all[at - 1] !== flight) all.splice(at, 0, flight);
  }
  return all;
}

/**
 * What a network carries that has room for so many messages from one member to another. What was sent last stays; of the
 * others those are lost that were first seen earliest. Losing them is what a network may do at any time, so a small
 * capacity leaves histories out and adds none.
 */
export function withinCapacity(
  network: readonly Flight[],
  sent: readonly Flight[],
  capacity: number,
): readonly Flight[] {
  if (!Number.isFinite(capacity)) return network;
  const counts = new Map<number, number>();
  const link = ({ message }: Flight): number => message.from * 64 + message.to;
  for (const flight of network) counts.set(link(flight), (counts.get(link(flight)) ?? 0) + 1);
  const crowded = (flight: Flight): boolean => (counts.get(link(flight)) ?? 0) > capacity;
  const lose = (flight: Flight): void => void counts.set(link(flight), (counts.get(link(flight)) ?? 0) - 1);
  const lost = new Set<Flight>();
  const candidates = [...network.filter((flight) => !sent.includes(flight)), ...sent];
  for (const flight of candidates) {
    if (lost.has(flight) || !crowded(flight) || !network.includes(flight)) continue;
    lost.add(flight);
    lose(flight);
  }
  return lost.size === 0 ? network : network.filter((flight) => !lost.has(flight));
}

/**
 * 53 bits of hash of a world: two worlds share one with a chance of about count²/2⁵⁴. With `mirrored` a world and its mirror
 * image share theirs on purpose: whatever can happen in one can happen in the other.
 */
export function worldKey(world: World, mirrored = false): number {
  const own = keyOf(world, false);
  return mirrored ? Math.min(own, keyOf(world, true)) : own;
}

const MIRROR_PLACES = [0, 2, 1];

function keyOf(world: World, mirror: boolean): number {
  let a = 0x9e3779b9;
  let b = 0x7f4a7c15;
  const mix = (x: number, y: number): void => {
    a = mixed(a ^ x);
    b = mixed(Math.imul(b, 0x846ca68b) ^ y);
  };
  const { nodes, network, budget, ghosts } = world;
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[mirror ? (MIRROR_PLACES[i] as number) : i] as NodeState;
    const hash = mirror ? node.other : node.own;
    mix(hash.a, hash.b);
  }
  // A network is a set: the sum does not depend on an order, which would be another one in the mirror.
  let sumA = 0;
  let sumB = 0;
  for (let i = 0; i < network.length; i++) {
    const flight = network[i] as Flight;
    const hash = mirror ? flight.other : flight.own;
    sumA = (sumA + hash.a) | 0;
    sumB = (sumB + hash.b) | 0;
  }
  mix(sumA, sumB);
  const { timeouts, proposals, crashes, duplicates, heartbeats, confChanges } = budget;
  mix(timeouts, (((proposals * 16 + crashes) * 16 + duplicates) * 16 + heartbeats) * 16 + confChanges);
  for (const leader of ghosts.leaders) mix(mirror ? otherId(leader ?? 0) : (leader ?? 0), -2);
  for (const term of ghosts.committed) mix(term ?? 0, -3);
  return (a >>> 0) * 2 ** 21 + (b >>> 11);
}
