import { join } from "node:path";
import type { Prng } from "../../src/runtime/prng.js";
import { nowUs } from "./records.js";
import { CLOCK_LAG_MS, clockLibrary, OwnClock } from "./clock.js";
import type { ChaosCluster, ChaosNode } from "./cluster.js";

/** Waits, in the harness only: how long a fault lasts is part of the fault. */
export type Pause = (ms: number) => Promise<void>;

/** One kind of harm: does it, lets it last, undoes it. */
export interface Fault {
  readonly name: string;
  /** Longest time for which it may stop the cluster's work, without recovery. */
  run(cluster: ChaosCluster, victim: ChaosNode, pause: Pause, random: Prng): Promise<void>;
  /** Whether it takes the leader, the owner of most sessions, or anybody. */
  readonly aims: "leader" | "any" | "all";
  /** Why it cannot be done on this machine; null when it can. */
  readonly unavailable?: () => string | null;
}

const between = (random: Prng, low: number, high: number): number => low + random.below(high - low + 1);

async function killAndRestart(
  cluster: ChaosCluster,
  victim: ChaosNode,
  pause: Pause,
  random: Prng,
): Promise<void> {
  await cluster.end(victim, "SIGKILL");
  await pause(between(random, 500, 3_000));
  cluster.start(victim);
}

async function stopAndContinue(
  cluster: ChaosCluster,
  victim: ChaosNode,
  pause: Pause,
  random: Prng,
): Promise<void> {
  const fromUs = nowUs();
  cluster.signal(victim, "SIGSTOP");
  await pause(between(random, 1_500, 4_000));
  cluster.stops.push({ node: victim.name, fromUs, toUs: nowUs() });
  // Nobody is there to go on if the fence has killed it.
  cluster.signal(victim, "SIGCONT");
}

function partition(direction: "both" | "outgoing" | "incoming"): Fault["run"] {
  return async (cluster, victim, pause, random) => {
    await cluster.isolate(victim, direction, true);
    await pause(between(random, 1_500, 4_000));
    await cluster.isolate(victim, direction, false);
  };
}

/** What a node knows of cluster time lags while it has no leader: some seconds after its own restart, never an hour. */
const CLUSTER_TIME_SLACK_MS = 60_000;

/**
 * A node whose wall clock jumps an hour ahead, then an hour back, while it runs. Cluster time must not follow it: what is
 * kept for a disconnected client would expire at once, or never.
 */
async function jumpClock(
  cluster: ChaosCluster,
  victim: ChaosNode,
  pause: Pause,
  random: Prng,
): Promise<void> {
  const clock = new OwnClock(clockLibrary() ?? "", join(cluster.folder, `${victim.name}.clock`));
  await cluster.end(victim, "SIGTERM");
  cluster.start(victim, clock.environment);
  for (const offsetSeconds of [3_600, -3_600, 0]) {
    const before = await cluster.probe();
    clock.jumpTo(offsetSeconds);
    await pause(CLOCK_LAG_MS + between(random, 1_000, 2_500));
    for (const row of await cluster.probe()) {
      const first = before.find((each) => each.node === row.node);
      if (first === undefined || first.clusterTimeMs === 0) continue;
      const passedMs = row.atMs - first.atMs;
      const wentMs = row.clusterTimeMs - first.clusterTimeMs;
      if (wentMs < 0 || wentMs > passedMs + CLUSTER_TIME_SLACK_MS)
        cluster.findings.push(
          `${victim.name}'s clock jumped to ${offsetSeconds} s: cluster time at ${row.node} went ${wentMs} ms in ${Math.round(passedMs)} ms`,
        );
    }
  }
  // The rest of the run is with the machine's clock again.
  await cluster.end(victim, "SIGTERM");
  cluster.start(victim);
}

/** Everything that the harness can do to a cluster, each undone by itself. */
export const FAULTS: readonly Fault[] = [
  { name: "kill-leader", aims: "leader", run: killAndRestart },
  { name: "kill-any", aims: "any", run: killAndRestart },
  { name: "stop-leader", aims: "leader", run: stopAndContinue },
  { name: "stop-any", aims: "any", run: stopAndContinue },
  {
    name: "orderly-stop",
    aims: "any",
    async run(cluster, victim, pause, random) {
      await cluster.end(victim, "SIGTERM");
      await pause(between(random, 500, 2_000));
      cluster.start(victim);
    },
  },
  { name: "partition-leader", aims: "leader", run: partition("both") },
  { name: "partition-any", aims: "any", run: partition("both") },
  { name: "deaf", aims: "any", run: partition("incoming") },
  { name: "mute", aims: "any", run: partition("outgoing") },
  {
    name: "blackhole-for-clients",
    aims: "any",
    async run(cluster, victim, pause, random) {
      await cluster.blackholeForClients(victim, true);
      await pause(between(random, 1_500, 4_000));
      await cluster.blackholeForClients(victim, false);
    },
  },
  {
    name: "full-disk",
    aims: "any",
    async run(_cluster, victim, pause, random) {
      await victim.disk.fill(64 * 1024);
      await pause(between(random, 2_000, 4_000));
      await victim.disk.unfill();
    },
  },
  {
    // Used up to the last block, faster than the node looks: a write fails before anybody was warned.
    name: "disk-full-at-once",
    aims: "any",
    async run(_cluster, victim, pause, random) {
      await victim.disk.fill(0);
      await pause(between(random, 2_000, 4_000));
      await victim.disk.unfill();
    },
  },
  {
    name: "full-share",
    aims: "all",
    async run(cluster, _victim, pause, random) {
      await cluster.share.fill(0);
      await pause(between(random, 1_000, 3_000));
      await cluster.share.unfill();
    },
  },
  {
    name: "lossy-network",
    aims: "any",
    async run(cluster, victim, pause, random) {
      await cluster.network.lose(victim.name, between(random, 2, 20));
      await pause(between(random, 2_000, 5_000));
      await cluster.network.restore(victim.name);
    },
  },
  {
    name: "slow-network",
    aims: "any",
    async run(cluster, victim, pause, random) {
      await cluster.network.slowDown(victim.name, between(random, 50, 250), between(random, 100, 600));
      await pause(between(random, 2_000, 5_000));
      await cluster.network.restore(victim.name);
    },
  },
  {
    name: "clock-jump",
    aims: "any",
    run: jumpClock,
    unavailable: () =>
      clockLibrary() === null ? "no libfaketime here (Debian: apt-get install libfaketime)" : null,
  },
  {
    // The same for the share: no node can write or sync there, and all of them let their leases go.
    name: "hung-share",
    aims: "all",
    async run(cluster, _victim, pause, random) {
      await cluster.share.freeze();
      await pause(between(random, 1_000, 3_500));
      await cluster.share.thaw();
    },
  },
  {
    // The file system is frozen by the kernel: a write or a sync blocks and says nothing.
    name: "hung-disk",
    aims: "any",
    async run(_cluster, victim, pause, random) {
      await victim.disk.freeze();
      await pause(between(random, 1_500, 3_500));
      await victim.disk.thaw();
    },
  },
  {
    // Every process at once. What the kernel has in its cache survives this, unlike a real power cut.
    name: "kill-all",
    aims: "all",
    async run(cluster, _victim, pause, random) {
      await Promise.all(cluster.nodes.map((node) => cluster.end(node, "SIGKILL")));
      await pause(between(random, 200, 1_000));
      for (const node of cluster.nodes) cluster.start(node);
    },
  },
];
