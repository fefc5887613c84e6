/**
 * `make chaos`: three nodes on hosts of their own, clients that do real work, faults drawn by a seed, and then the
 * checks. Environment: SECONDS_MAX (default 180), SEED, JSON (file for the figures), FAULTS (names, comma-separated),
 * KEEP=1 (leave files and logs for a look).
 */
import { createInterface } from "node:readline";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Prng } from "../../src/runtime/prng.js";
import { checkRun, type Verdict } from "./checks.js";
import { ChaosCluster, type ChaosNode } from "./cluster.js";
import { FAULTS, type Fault } from "./faults.js";
import type { OpRecord, WorkloadLine } from "./records.js";

const seconds = Number(process.env["SECONDS_MAX"] || 180);
const seed = Number(process.env["SEED"] || Math.floor(performance.timeOrigin) % 1_000_000);
const wanted = process.env["FAULTS"]?.split(",") ?? FAULTS.map((fault) => fault.name);
const CLIENTS = 6;
const SETTLE_MS_MAX = 90_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** The workload process and what it has said. */
class Workload {
  readonly history: OpRecord[] = [];
  readonly failures: string[] = [];
  readonly #child;
  readonly ready: Promise<void>;
  readonly finished: Promise<boolean>;

  constructor(cluster: ChaosCluster) {
    const options = {
      nodes: cluster.endpoints,
      share: "demo",
      clients: CLIENTS,
      counters: 3,
      seed,
      deadlineMs: 60_000,
    };
    this.#child = cluster.spawnClient(join(process.cwd(), "dist/test/chaos/workload.js"), [
      JSON.stringify(options),
    ]);
    let isReady = (): void => {};
    this.ready = new Promise((resolve) => (isReady = resolve));
    this.finished = new Promise((resolve) => {
      this.#child.once("exit", (code) => resolve(code === 0));
    });
    createInterface({ input: this.#child.stdout! }).on("line", (text) => {
      const line = JSON.parse(text) as WorkloadLine;
      if (line.type === "op") this.history.push(line.record);
      else if (line.type === "ready") isReady();
      else if (line.type === "failed") this.failures.push(`client ${line.client}: ${line.message}`);
    });
  }

  finish(): void {
    this.#child.stdin?.write("finish\n");
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

async function untilLeader(cluster: ChaosCluster, timeoutMs: number): Promise<string> {
  const end = performance.now() + timeoutMs;
  while (performance.now() < end) {
    const leader = await cluster.leader();
    if (leader !== null) return leader;
    await pause(200);
  }
  throw new Error(`no leader within ${timeoutMs} ms`);
}

async function victimOf(fault: Fault, cluster: ChaosCluster, random: Prng): Promise<ChaosNode> {
  if (fault.aims === "leader") return cluster.node(await untilLeader(cluster, 30_000));
  return cluster.nodes[random.below(cluster.nodes.length)] as ChaosNode;
}

async function injectFaults(cluster: ChaosCluster, counts: Map<string, number>): Promise<void> {
  const random = Prng.fromSeed(seed);
  const faults = FAULTS.filter((fault) => wanted.includes(fault.name));
  const end = performance.now() + seconds * 1000;
  for (let round = 0; performance.now() < end; round++) {
    // Every kind once, then by chance: a short run shall not leave a kind out by bad luck.
    const fault = faults[round < faults.length ? round : random.below(faults.length)] as Fault;
    const victim = await victimOf(fault, cluster, random);
    say(`${clock()}  ${fault.name} ${fault.aims === "all" ? "" : victim.name}`);
    await fault.run(cluster, victim, pause, random);
    counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
    for (const node of cluster.nodes) {
      if (node.process === null) {
        say(
          `${clock()}  ${node.name} had ended by itself with code ${node.exits.at(-1)?.code}; started again`,
        );
        cluster.start(node);
      }
    }
    await untilLeader(cluster, 30_000);
    await pause(500 + random.below(2_000));
  }
}

function clock(): string {
  return `${(performance.now() / 1000).toFixed(1).padStart(7)} s`;
}

function summarise(
  verdict: Verdict,
  counts: ReadonlyMap<string, number>,
  history: readonly OpRecord[],
): void {
  const done = history
    .filter((each) => each.outcome === "done")
    .map((each) => (each.returnUs - each.callUs) / 1000);
  done.sort((a, b) => a - b);
  verdict.figures["pauseMaxMs"] = Math.round(done.at(-1) ?? 0);
  verdict.figures["latencyP50Ms"] = Math.round((done[Math.floor(done.length / 2)] ?? 0) * 100) / 100;
  for (const [name, count] of counts) verdict.figures[`fault ${name}`] = count;
  say("");
  for (const [name, value] of Object.entries(verdict.figures)) say(`${name.padEnd(28)} ${value}`);
  for (const violation of verdict.violations) say(`VIOLATION  ${violation}`);
}

async function main(): Promise<number> {
  say(`chaos: seed ${seed}, ${seconds} s; replay the same faults with SEED=${seed}`);
  const cluster = await ChaosCluster.create(String(process.pid % 10_000), {});
  if (!cluster.network.hasNetem)
    say("this kernel has no netem: random loss and delay of packets are left out");
  const counts = new Map<string, number>();
  let verdict: Verdict = { violations: [], figures: {} };
  let workload: Workload | null = null;
  try {
    for (const node of cluster.nodes) cluster.start(node);
    await untilLeader(cluster, 30_000);
    workload = new Workload(cluster);
    await workload.ready;
    await injectFaults(cluster, counts);
    say(`${clock()}  faults end; every client has to finish within ${SETTLE_MS_MAX / 1000} s`);
    workload.finish();
    const finished = await Promise.race([workload.finished, pause(SETTLE_MS_MAX).then(() => false)]);
    verdict = await checkRun(workload.history, cluster.share.mountPoint);
    if (!finished) verdict.violations.push("not every client finished");
    for (const failure of workload.failures) verdict.violations.push(failure);
    summarise(verdict, counts, workload.history);
  } finally {
    workload?.kill();
    const keep =
      process.env["KEEP"] === "1" || (verdict.violations.length > 0 && process.env["KEEP"] !== "0");
    if (keep && workload !== null)
      writeFileSync(
        join(cluster.folder, "history.jsonl"),
        workload.history.map((each) => JSON.stringify(each)).join("\n"),
      );
    await cluster.close(keep);
    if (keep) say(`logs, history and files are in ${cluster.folder}`);
  }
  if (process.env["JSON"])
    writeFileSync(process.env["JSON"], JSON.stringify({ seed, seconds, ...verdict }, null, 2));
  say(
    verdict.violations.length === 0
      ? "chaos: nothing was violated"
      : `chaos: ${verdict.violations.length} violations`,
  );
  return verdict.violations.length === 0 ? 0 : 1;
}

process.exitCode = await main();
