import { type ClientOptions, connectOver } from "../../src/client/index.js";
import { address, FakeCluster } from "./fake-cluster.js";
import { SEED, World } from "./world.js";

/** UTF-8 bytes. */
export const text = (s: string) => new TextEncoder().encode(s);

/** A session over a fake cluster. */
export async function start(options: Partial<ClientOptions> = {}, seed = SEED) {
  const world = new World(seed);
  const cluster = new FakeCluster(world);
  // One node's address: the rest must be learned.
  const session = await world.settle(
    connectOver(cluster.network, world.runtime, { nodes: [address("n1")], witness: false, ...options }),
  );
  return { world, cluster, session };
}

/** The same with an open handle. */
export async function opened(options: Partial<ClientOptions> = {}, seed = SEED) {
  const made = await start(options, seed);
  const handle = await made.world.settle(
    made.session.open("demo:/a", { disposition: "open-if", access: "read-write" }),
  );
  return { ...made, handle };
}

/** The owner dies; after `takeoverMs` the cluster gives the session to another node. */
export function failover(cluster: FakeCluster, to: string, takeoverMs: number): void {
  const from = cluster.owner;
  cluster.kill(from);
  cluster.world.after(takeoverMs, () => cluster.giveTo(to));
}
