/**
 * `make chaos`: three nodes on hosts of their own, clients that do real work, faults drawn by a seed, and then the
 * checks. Environment: SECONDS_MAX (default 180), SEED, JSON (file for the figures), FAULTS (names, comma-separated),
 * FENCE (copies, command or none; default: one of the first two, drawn by the seed), KEEP=1 (leave files and logs for a look). Bounded: SECONDS_MAX, and at most six minutes for start, end and checks.
 */
import { NODE_EXIT } from "../../src/node/exit-codes.js";
import { createInterface } from "node:readline";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Prng } from "../../src/runtime/prng.js";
import { checkRun, type Verdict } from "./checks.js";
import { ChaosCluster, type ChaosNode } from "./cluster.js";
import { FAULTS, type Fault } from "./faults.js";
import { fenceOf } from "./fences.js";
import { checkFinished, type Ending } from "./finished.js";
import type { NodeRow, OpRecord, WorkloadLine } from "./records.js";

const seconds = Number(process.env["SECONDS_MAX"] || 180);
const seed = Number(process.env["SEED"] || Math.floor(performance.timeOrigin) % 1_000_000);
const wanted = process.env["FAULTS"]?.split(",") ?? FAULTS.map((fault) => fault.name);
const fence = fenceOf(process.env["FENCE"], seed);
const CLIENTS = 6;
const SETTLE_MS_MAX = 90_000;
/** Without faults nobody may be elected for so long. */
const STABLE_MS = 5_000;
/** Generous: a machine that is busy with other things needs half a minute to start a node. */
const LEADER_WITHIN_MS = 120_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** The workload process and what it has said. */
class Workload {
  readonly history: OpRecord[] = [];
  readonly failures: string[] = [];
  readonly #child;
  readonly ready: Promise<void>;
  readonly #ended: Promise<boolean>;
  #finished: number | null = null;

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
    this.ready = new Promise((resolve, reject) => {
      isReady = resolve;
      this.#child.once("exit", (code) =>
        reject(new Error(`the workload ended at its start, with code ${code}`)),
      );
    });
    // After the start nobody waits for it any more.
    this.ready.catch(() => {});
    this.#ended = new Promise((resolve) => {
      // Not "exit": its last lines may still be on their way then.
      this.#child.once("close", () => resolve(true));
    });
    createInterface({ input: this.#child.stdout! }).on("line", (text) => {
      const line = JSON.parse(text) as WorkloadLine;
      if (line.type === "op") this.history.push(line.record);
      else if (line.type === "ready") isReady();
      else if (line.type === "finished") this.#finished = line.clients;
      else if (line.type === "failed") this.failures.push(`client ${line.client}: ${line.message}`);
    });
  }

  /** Asks the clients to finish what they are at and waits for them. */
  async finish(withinMs: number): Promise<Ending> {
    this.#child.stdin?.write("finish\n");
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), withinMs);
    });
    const inTime = await Promise.race([this.#ended, late]);
    // Left alone it would keep this process for the whole time, long after the last line.
    clearTimeout(timer);
    return { inTime, finished: this.#finished, failures: this.failures };
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

async function untilLeader(cluster: ChaosCluster): Promise<NodeRow> {
  const end = performance.now() + LEADER_WITHIN_MS;
  while (performance.now() < end) {
    const leader = await cluster.leader();
    if (leader !== null) return leader;
    await pause(200);
  }
  throw new Error(`no leader within ${LEADER_WITHIN_MS} ms`);
}

/** Once nothing disturbs it any more, the cluster keeps its leader, and every node knows it. */
async function checkStable(cluster: ChaosCluster, violations: string[]): Promise<void> {
  const before = await untilLeader(cluster);
  await pause(STABLE_MS);
  const rows = await cluster.probe();
  const after = rows.find((row) => row.role === "leader");
  if (after === undefined || after.node !== before.node || after.term !== before.term)
    violations.push(
      `the leader changed without a fault: ${before.node} in term ${before.term}, then ${after?.node ?? "nobody"} in term ${after?.term ?? 0}`,
    );
  for (const node of cluster.nodes)
    if (!rows.some((row) => row.node === node.name && row.term === before.term))
      violations.push(`${node.name} is not with the others after the faults`);
}

async function victimOf(fault: Fault, cluster: ChaosCluster, random: Prng): Promise<ChaosNode> {
  if (fault.aims === "leader") return cluster.node((await untilLeader(cluster)).node);
  return cluster.nodes[random.below(cluster.nodes.length)] as ChaosNode;
}

/** False, and loudly so, for a fault that this machine cannot do. */
function isPossible(fault: Fault): boolean {
  const why = fault.unavailable?.() ?? null;
  if (why !== null) say(`SKIPPED: ${fault.name}: ${why}`);
  return why === null;
}

async function injectFaults(cluster: ChaosCluster, counts: Map<string, number>): Promise<void> {
  const random = Prng.fromSeed(seed);
  const faults = FAULTS.filter((fault) => wanted.includes(fault.name) && isPossible(fault));
  const end = performance.now() + seconds * 1000;
  for (let round = 0; performance.now() < end; round++) {
    // Every kind once, then by chance: a short run shall not leave a kind out by bad luck.
    const fault = faults[round < faults.length ? round : random.below(faults.length)] as Fault;
    const victim = await victimOf(fault, cluster, random);
    say(`${clock()}  ${fault.name} ${fault.aims === "all" ? "" : victim.name}`);
    await fault.run(cluster, victim, pause, random);
    counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
    for (const node of cluster.nodes) {
      if (node.process === null && node.revival === null) {
        say(
          `${clock()}  ${node.name} had ended by itself with code ${node.exits.at(-1)?.code}; started again`,
        );
        const code = node.exits.at(-1)?.code ?? null;
        if (!isDocumented(fault.name, code))
          cluster.findings.push(`${node.name} ended by itself with code ${code} during ${fault.name}`);
        cluster.start(node);
      }
    }
    await untilLeader(cluster);
    await pause(500 + random.below(2_000));
  }
}

/** A node that was still starting from an earlier fault when its disk filled up says so and ends (docs/operations.md). */
function isDocumented(fault: string, code: number | null): boolean {
  return /^(full-disk|disk-full-at-once)$/.test(fault) && code === NODE_EXIT.dataUnwritable;
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
  for (const late of verdict.lateWrites) say(`LATE  ${late}`);
  for (const violation of verdict.violations) say(`VIOLATION  ${violation}`);
}

/** A run that is cut off leaves no hosts, mounts or processes behind. Answers what ends the watching. */
function onSignals(cluster: ChaosCluster): () => void {
  const end = (signal: NodeJS.Signals): void => {
    say(`${signal}: cleaning up`);
    void cluster.close(false).finally(() => process.exit(1));
  };
  process.once("SIGINT", end).once("SIGTERM", end);
  return () => process.off("SIGINT", end).off("SIGTERM", end);
}

async function main(): Promise<number> {
  say(
    `chaos: seed ${seed}, ${seconds} s, fence ${fence}; replay the same faults with SEED=${seed} FENCE=${fence}`,
  );
  const cluster = await ChaosCluster.create(String(process.pid % 10_000), fence);
  const stop = onSignals(cluster);
  if (!cluster.network.hasNetem)
    say("this kernel has no netem: packets are lost by a filter and delayed by a token bucket");
  const counts = new Map<string, number>();
  let verdict: Verdict = { violations: [], figures: {}, lateWrites: [] };
  let workload: Workload | null = null;
  try {
    for (const node of cluster.nodes) cluster.start(node);
    await untilLeader(cluster);
    workload = new Workload(cluster);
    await workload.ready;
    await injectFaults(cluster, counts);
    say(`${clock()}  faults end; every client has to finish within ${SETTLE_MS_MAX / 1000} s`);
    const ending = await workload.finish(SETTLE_MS_MAX);
    verdict = await checkRun(workload.history, cluster.share.mountPoint, { fence, stops: cluster.stops });
    verdict.violations.push(...checkFinished(workload.history, CLIENTS, ending), ...cluster.findings);
    verdict.figures["killed by the fence"] = cluster.fenced;
    await checkStable(cluster, verdict.violations);
    summarise(verdict, counts, workload.history);
  } catch (error) {
    verdict.violations.push(`the run broke off: ${error instanceof Error ? error.message : String(error)}`);
    summarise(verdict, counts, workload?.history ?? []);
  } finally {
    stop();
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
    writeFileSync(process.env["JSON"], JSON.stringify({ seed, seconds, fence, ...verdict }, null, 2));
  say(
    verdict.violations.length === 0
      ? "chaos: nothing was violated"
      : `chaos: ${verdict.violations.length} violations`,
  );
  return verdict.violations.length === 0 ? 0 : 1;
}

process.exitCode = await main();
