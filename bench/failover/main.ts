/**
 * `make bench-failover`: how long nothing is answered when something dies, measured from outside, beside etcd where it
 * is installed. Environment: KILLS (default 30), JSON (file), ONLY (names of parts, comma-separated).
 */
import { writeFileSync } from "node:fs";
import { connect } from "../../src/client/index.js";
import { TestCluster, until } from "../../test/integration/cluster.js";
import { BackgroundLoad, quantiles, timeToRecover } from "./probe.js";
import { plannedMoves } from "./move.js";
import { etcdTarget, holdfastTarget, type Target } from "./targets.js";

const kills = Number(process.env["KILLS"] || 30);
const only = process.env["ONLY"]?.split(",");
const rows: {
  what: string;
  runs: number;
  min: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}[] = [];

function report(what: string, values: readonly number[]): void {
  const q = quantiles(values);
  rows.push({ what, runs: values.length, ...q });
  const show = (ms: number) => ms.toFixed(0).padStart(7);
  process.stdout.write(
    `${what.padEnd(58)}${String(values.length).padStart(5)}${[q.min, q.p50, q.p90, q.p99, q.max].map(show).join("")}\n`,
  );
}

const wanted = (part: string): boolean => only === undefined || only.includes(part);

/** kill -9 or SIGSTOP of the leader to the first put that was started afterwards and answered by a survivor. */
async function leaderLoss(
  target: Target,
  count: number,
  signal: "SIGKILL" | "SIGSTOP",
  inFlight: number,
): Promise<void> {
  const values: number[] = [];
  for (let i = 0; i < count; i++) {
    const leader = await target.leader();
    const survivors = target.addresses.filter((address) => address !== leader);
    for (const address of survivors)
      await until("survivor answers", 20_000, () => target.store.put(address, "probe-0", 1_000));
    const load = new BackgroundLoad(target.store, () => survivors, inFlight);
    const before = load.done;
    if (inFlight > 0) await until("load runs", 10_000, () => load.done > before + 200);
    values.push(await timeToRecover(target.store, survivors, () => target.kill(leader, signal), 20_000));
    await load.stop();
    await target.revive(leader);
  }
  const what = signal === "SIGKILL" ? "leader kill -9" : "leader SIGSTOP";
  report(`${target.name}: ${what}${inFlight > 0 ? `, ${inFlight} puts in flight` : ""}`, values);
}

/** kill -9 of a session's owner to the first answered read on the same handle. */
async function ownerLoss(count: number, alsoLeader: boolean): Promise<void> {
  const cluster = await TestCluster.start(3);
  const values: number[] = [];
  try {
    const session = await connect({ nodes: cluster.nodes.map((node) => node.grpc), deadlineMs: 60_000 });
    const handle = await session.open("demo:/failover", { disposition: "open-if" });
    await handle.write(0, new Uint8Array(4096));
    while (values.length < count) {
      const leader = await cluster.leader();
      if ((session.owner === leader) !== alsoLeader) {
        const to = alsoLeader
          ? session.owner
          : cluster.nodes.find((node) => node.name !== session.owner)?.name;
        await cluster.cli("leader", "move", "--to", to ?? "");
        await until("leader moved", 10_000, async () => (await cluster.leader()) === to);
      }
      await handle.read(0, 16);
      const owner = session.owner;
      const from = performance.now();
      cluster.signal(owner, "SIGKILL");
      await handle.read(0, 16);
      values.push(performance.now() - from);
      await cluster.kill(owner);
      cluster.startNode(owner);
      await cluster.untilReady();
    }
    await handle.close();
    await session.close();
  } finally {
    await cluster.destroy();
  }
  report(`owner kill -9 to first read${alsoLeader ? " (owner is leader)" : ""}`, values);
}

async function main(): Promise<void> {
  process.stdout.write(`${"milliseconds".padEnd(58)} runs    min    p50    p90    p99    max\n`);
  if (wanted("leader")) {
    const targets = [
      () => holdfastTarget("holdfast"),
      () => etcdTarget("etcd 100/1000", 100, 1000),
      () => etcdTarget("etcd 10/100", 10, 100),
    ];
    for (const make of targets) {
      const target = await make();
      if (target === null) continue;
      try {
        const etcd = target.name.startsWith("etcd");
        await leaderLoss(target, etcd ? Math.ceil(kills / 3) : kills, "SIGKILL", 0);
        await leaderLoss(target, etcd ? Math.ceil(kills / 3) : kills, "SIGKILL", 64);
        await leaderLoss(target, Math.ceil(kills / 6), "SIGSTOP", 0);
      } finally {
        await target.destroy();
      }
    }
  }
  if (wanted("owner")) {
    await ownerLoss(kills, false);
    await ownerLoss(kills, true);
  }
  if (wanted("move")) report("planned transfer: longest gap of a busy client", await plannedMoves(kills));
  if (process.env["JSON"]) writeFileSync(process.env["JSON"], JSON.stringify({ rows }, null, 2));
}

await main();
