/**
 * `make bench-failover`: how long nothing is answered when something dies, measured from outside, beside etcd where it
 * is installed. Environment: KILLS (default 30), MOVES (default 200), CALM (seconds under full load, default 600), ONLY
 * (parts, comma-separated: leader, etcd, owner, owner-leader, move, calm), JSON (file: figures of parts that do not run
 * now are kept), MARKDOWN (document whose table between the failover markers is rewritten).
 */
import { connect } from "../../src/client/index.js";
import { TestCluster, until } from "../../test/integration/cluster.js";
import { machine } from "../report.js";
import { plannedMoves } from "./move.js";
import { BackgroundLoad, quantiles, timeToRecover } from "./probe.js";
import { Figures } from "./figures.js";
import { etcdTarget, holdfastTarget, type Target } from "./targets.js";

const kills = Number(process.env["KILLS"] || 30);
const moves = Number(process.env["MOVES"] || 200);
const calmSeconds = Number(process.env["CALM"] || 600);
const only = process.env["ONLY"]?.split(",").filter((part) => part !== "");
const figures = new Figures(process.env["JSON"] || "", machine());

function report(what: string, values: readonly number[]): void {
  figures.add({ what, runs: values.length, ...quantiles(values) });
}

const wanted = (part: string): boolean => only === undefined || only.length === 0 || only.includes(part);

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

/** Elections in a cluster that is busy and otherwise left alone: its term must not move. */
async function calm(seconds: number): Promise<void> {
  const target = await holdfastTarget("holdfast");
  try {
    for (const address of target.addresses)
      await until("node answers", 20_000, () => target.store.put(address, "probe-0", 1_000));
    const before = await target.term();
    const load = new BackgroundLoad(target.store, () => target.addresses, 64);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    await load.stop();
    const elections = (await target.term()) - before;
    figures.calm({ seconds, puts: load.done, elections });
  } finally {
    await target.destroy();
  }
}

async function leaders(make: () => Promise<Target | null>, count: number): Promise<void> {
  const target = await make();
  if (target === null) return;
  try {
    await leaderLoss(target, count, "SIGKILL", 0);
    await leaderLoss(target, count, "SIGKILL", 64);
    await leaderLoss(target, Math.ceil(count / 6), "SIGSTOP", 0);
  } finally {
    await target.destroy();
  }
}

async function main(): Promise<void> {
  figures.head();
  if (wanted("leader")) await leaders(() => holdfastTarget("holdfast"), kills);
  if (wanted("etcd")) {
    await leaders(() => etcdTarget("etcd 100/1000", 100, 1000), Math.ceil(kills / 3));
    await leaders(() => etcdTarget("etcd 10/100", 10, 100), Math.ceil(kills / 3));
  }
  if (wanted("owner")) await ownerLoss(kills, false);
  if (wanted("owner-leader")) await ownerLoss(kills, true);
  if (wanted("move")) report("planned transfer: longest gap of a busy client", await plannedMoves(moves));
  if (wanted("calm")) await calm(calmSeconds);
  figures.claims();
  if (process.env["MARKDOWN"]) figures.writeMarkdown(process.env["MARKDOWN"]);
}

await main();
