import { connect, type Handle, type Session } from "../src/client/index.js";
import type { HoldfastCluster } from "./holdfast-cluster.js";
import { measured, type Row } from "./cpu-cost.js";
import type { Plan } from "./holdfast-load.js";
import { closedLoop } from "./load.js";

/** Workers that warm up what one client is then measured with, each on a file of its own. */
const WARM_WIDTH = 16;

/**
 * Open and close of a persistent handle, lock and unlock: one client, one pair at a time. Measured twice, for whoever
 * connects lands anywhere: with the session at the node that leads, and at one that has to pass commands on.
 */
export async function handleLoad(cluster: HoldfastCluster, plan: Plan, warmSeconds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [index, place] of ["leader", "follower"].entries()) {
    const address = cluster.addresses[index] as string;
    const session = await connect({ nodes: [address], clientName: "bench" });
    if (session.address !== address)
      throw new Error(`the session came to ${session.address}, not ${address}`);
    const row = async (operation: string, run: (worker: number) => Promise<unknown>) => {
      const load = { target: "holdfast", operation: `${operation}, session at ${place}`, inFlight: 1 };
      await closedLoop({ ...load, inFlight: WARM_WIDTH, seconds: warmSeconds }, run);
      rows.push(await measured(cluster, () => closedLoop({ ...load, seconds: plan.seconds }, run)));
    };
    await row("open + close", async (worker) => (await opened(session, "open", worker)).close());
    const handles = await Promise.all(
      Array.from({ length: WARM_WIDTH }, (_, worker) => opened(session, "lock", worker)),
    );
    const range = { offset: 0, length: 1 };
    await row("lock + unlock", async (worker) => {
      await handles[worker]?.lock(range);
      await handles[worker]?.unlock(range);
    });
    await session.close();
  }
  return rows;
}

function opened(session: Session, what: string, worker: number): Promise<Handle> {
  return session.open(`demo:/bench-${what}-${worker}`, { disposition: "open-if" });
}
