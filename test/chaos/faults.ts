import type { ChaosCluster, ChaosNode } from "./cluster.js";
import type { Prng } from "../../src/runtime/prng.js";

/** Waits, in the harness only: how long a fault lasts is part of the fault. */
export type Pause = (ms: number) => Promise<void>;

/** One kind of harm: does it, lets it last, undoes it. */
export interface Fault {
  readonly name: string;
  /** Longest time for which it may stop the cluster's work, without recovery. */
  run(cluster: ChaosCluster, victim: ChaosNode, pause: Pause, random: Prng): Promise<void>;
  /** Whether it takes the leader, the owner of most sessions, or anybody. */
  readonly aims: "leader" | "any" | "all";
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
  cluster.signal(victim, "SIGSTOP");
  await pause(between(random, 1_500, 4_000));
  cluster.signal(victim, "SIGCONT");
}

function partition(direction: "both" | "outgoing" | "incoming"): Fault["run"] {
  return async (cluster, victim, pause, random) => {
    await cluster.isolate(victim, direction, true);
    await pause(between(random, 1_500, 4_000));
    await cluster.isolate(victim, direction, false);
  };
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
    async run(cluster, victim, pause, random) {
      await victim.disk.fill(64 * 1024);
      await pause(between(random, 2_000, 4_000));
      await victim.disk.unfill();
    },
  },
  {
    // The file system is frozen by the kernel: a write or a sync blocks and says nothing.
    name: "hung-disk",
    aims: "any",
    async run(cluster, victim, pause, random) {
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
