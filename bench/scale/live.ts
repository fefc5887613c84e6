import { join } from "node:path";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { localConfig, localNodes, type LocalNode } from "../../src/cli/local-cluster.js";
import { freeBasePort } from "../ports.js";
import { waitFor } from "../processes.js";
import { holdsSince, longestOf, printHolds } from "./holds.js";
import { operator, ScaleNode, scaleNodes, schedule } from "./nodes.js";
import { prepareFolders } from "./prepare.js";
import { Probe } from "./probe.js";
import type { ScaleOptions } from "./state.js";

/** Takes a figure: its name, value and unit, and what is wanted of it. */
export type Note = (name: string, value: number, unit: string, atMost?: number) => void;

const QUIET_MS = 5_000;
const READY_LIMIT_MS = 120_000;
const SNAPSHOT_LIMIT_MS = 180_000;
const DOWN_LIMIT_MS = 20_000;
/** Less than what is left of any lease: what happens until then is the death of a process, not the takeover. */
const DEATH_MS = 500;
/** A wait as long as this is no slow answer: what is known of it is printed. */
const STALL_MS = 300;

/**
 * The same size with real processes: start from a full disk, takeover while others work, restart, and a snapshot to an
 * empty member.
 */
export async function liveScale(folder: string, options: ScaleOptions, note: Note, flags: readonly string[]) {
  const all = localNodes(folder, await freeBasePort([0, 1, 2, 3, 100, 101, 102, 103]), 4);
  const nodes = all.slice(0, 3);
  const share = join(folder, "share");
  const cluster = scaleNodes(nodes, share, flags);
  const joiner = all[3] as LocalNode;
  const joining = localConfig(joiner, all, share).replace("cluster:\n", "cluster:\n  join: true\n");
  const newcomer = new ScaleNode(joiner, joining, flags);
  await prepareFolders(nodes, options);
  try {
    await startAll(cluster, options, note);
    await takeover(cluster, options.sessions, note);
    await restart(cluster[0] as ScaleNode, note);
    await snapshot(cluster, newcomer, note);
  } finally {
    const running = [...cluster, newcomer].filter((node) => node.isRunning);
    await Promise.all(running.map((node) => node.stop()));
  }
}

async function startAll(cluster: readonly ScaleNode[], options: ScaleOptions, note: Note): Promise<void> {
  const handles = options.sessions * options.handlesPerSession;
  for (const node of cluster) node.start();
  const times = await Promise.all(cluster.map((node) => node.untilReady(READY_LIMIT_MS)));
  note("all three started at once, ready after", Math.max(...times), "ms");
  const owner = cluster[0] as ScaleNode;
  const owned = await owner.metric("sessions_owned");
  if (owned !== options.sessions) throw new Error(`n1 owns ${owned} sessions, not ${options.sessions}`);
  const found = await owner.metric("handles");
  if (found !== handles) throw new Error(`the state holds ${found} handles, not ${handles}`);
  note("resident memory of a node, by handle", (await owner.metric("process_resident_bytes")) / handles, "B");
}

async function moveLeaderAway(cluster: readonly ScaleNode[]): Promise<void> {
  const [owner, other] = cluster as [ScaleNode, ScaleNode];
  const endpoints = cluster.map((each) => each.node.grpc);
  if ((await owner.metric("raft_is_leader")) === 1)
    operator(endpoints, "leader", "move", "--to", other.node.name);
  await owner.until("to follow", DOWN_LIMIT_MS, async () => (await owner.metric("raft_is_leader")) === 0);
}

/** Kills the owner of everything, which does not lead, while others work through the survivors. */
async function takeover(cluster: readonly ScaleNode[], sessions: number, note: Note): Promise<void> {
  await moveLeaderAway(cluster);
  const [owner, ...survivors] = cluster as [ScaleNode, ScaleNode, ScaleNode];
  const there = survivors.map((each) => each.node.grpc);
  const back = [...there].reverse();
  const probes = await Promise.all([
    Probe.store(there, "probe-1"),
    Probe.store(back, "probe-2"),
    Probe.open(there, "probe-3"),
    Probe.open(back, "probe-4"),
  ]);
  const timed = [process.pid, ...survivors.map(({ child }) => child?.process.pid)];
  if (process.env["REALTIME"] === "1") for (const pid of timed) await schedule("--rr", pid);
  await sleep(QUIET_MS);
  const before = probes.map((probe) => ({ name: probe.name, ...probe.take() }));
  note("longest wait of others before", Math.max(...before.map(({ longestMs }) => longestMs)), "ms");
  for (const { name, told } of before) for (const line of told) console.log(`  ${name}: ${line}`);
  for (const { node } of cluster) printRevocations(node);
  const began = performance.now();
  await owner.kill();
  await sleep(DEATH_MS);
  const death = Math.max(...probes.map((probe) => probe.take().longestMs));
  note(`longest wait of others in the ${DEATH_MS} ms after the kill`, death, "ms");
  await waitFor("the takeover", [], DOWN_LIMIT_MS, async () => {
    const owned = await Promise.all(survivors.map((node) => node.metric("sessions_owned")));
    return owned.reduce((sum, each) => sum + each, 0) >= sessions ? true : null;
  });
  note("kill -9 of the owner until all is re-owned", performance.now() - began, "ms");
  // What follows from the takeover (state to disk, events, sessions taken up) belongs to it.
  await sleep(QUIET_MS);
  const each = probes.map((probe) => ({ name: probe.name, ...probe.take() }));
  if (process.env["REALTIME"] === "1") for (const pid of timed) await schedule("--other", pid);
  for (const survivor of survivors) {
    const longest = await survivor.metric("event_loop_delay_max_ms");
    note(`longest loop delay of ${survivor.node.name}, up to 20 s back`, longest, "ms");
  }
  for (const { name, longestMs, longestFromMs, count, told } of each) {
    note(`longest wait of others at takeover, ${name} (${count} ops)`, longestMs, "ms", 50);
    const afterMs = Math.round(longestFromMs - began);
    console.log(`  it began ${afterMs} ms after the kill (at ${Math.round(began)} ms)`);
    if (longestMs <= STALL_MS) continue;
    for (const line of told) console.log(`  ${line}`);
  }
  await Promise.all(probes.map((probe) => probe.stop()));
}

/** A node that a coordinator has revoked before loses its lease with the next coordinator, and its sessions stand. */
function printRevocations(node: LocalNode): void {
  const lines = readFileSync(join(node.data, "log"), "utf8").split("\n");
  for (const line of lines) if (line.includes("revoked")) console.log(`  ${line}`);
}

async function restart(owner: ScaleNode, note: Note): Promise<void> {
  owner.start();
  note("restart of a node until ready", await owner.untilReady(READY_LIMIT_MS), "ms", 15_000);
}

/** An empty member joins: how long until it has the state, and what the leader's loop was held for meanwhile. */
export async function snapshot(
  cluster: readonly ScaleNode[],
  newcomer: ScaleNode,
  note: Note,
): Promise<void> {
  const endpoints = cluster.map((each) => each.node.grpc);
  const leader = await leaderOf(cluster);
  // The gauge looks back at most twenty seconds.
  await sleep(21_000);
  note("leader's longest loop delay before", await leader.metric("event_loop_delay_max_ms"), "ms");
  const { name, raftId, grpc, http } = newcomer.node;
  const began = performance.now();
  const beganAt = Date.now();
  newcomer.start();
  operator(endpoints, "members", "add", name, "--id", String(raftId), "--grpc", grpc, "--http", http);
  let longestMs = 0;
  const target = await leader.metric("raft_applied_index");
  await newcomer.until("to have the state", SNAPSHOT_LIMIT_MS, async () => {
    longestMs = Math.max(longestMs, await leader.metric("event_loop_delay_max_ms"));
    return (await newcomer.metric("raft_applied_index")) >= target;
  });
  note("snapshot to an empty node until applied", performance.now() - began, "ms", 60_000);
  await sleep(1_000);
  longestMs = Math.max(longestMs, await leader.metric("event_loop_delay_max_ms"));
  note("leader's longest loop delay meanwhile", longestMs, "ms", 50);
  const holds = holdsSince(leader.node.data, beganAt);
  note("leader's longest hold meanwhile, its own on a core", longestOf(holds, "ranMs"), "ms", 50);
  note("leader's longest wait for a core meanwhile", longestOf(holds, "waitedMs"), "ms");
  printHolds(holds, 5);
}

async function leaderOf(cluster: readonly ScaleNode[]): Promise<ScaleNode> {
  for (const node of cluster) if ((await node.metric("raft_is_leader")) === 1) return node;
  throw new Error("no node says that it leads");
}
