import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { askAny, askEach } from "../../src/cli/admin-client.js";
import { localConfig, type LocalNode } from "../../src/cli/local-cluster.js";
import { until } from "../until.js";

export { until };

/** The command as users run it. */
export const bin = fileURLToPath(new URL("../../../bin/holdfast.js", import.meta.url));

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Longest wait of a command for an answer: a mere bound, far beyond what a machine that is short of everything takes. */
const PATIENCE = ["--timeout", "100s"];
const STATE_WITHIN_MS = 60_000;
const UNDISTURBED_TRIES_MAX = 5;

/** Ports for each lane of tests that run side by side, from the first on. */
const LANE_PORTS = 5_000;
const FIRST_PORT = 10_000;
const lane = Number(process.env["HOLDFAST_TEST_LANE"] ?? 0);
// Two runs of the tests on one machine begin at different places.
let nextPort = process.pid % LANE_PORTS;

/**
 * Ports of loopback that were free a moment ago, none of them twice. Below those that the system gives to whoever asks for
 * any: between the look and the use, and while a node is down, neither another lane nor an outgoing connection takes one.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = FIRST_PORT + lane * LANE_PORTS + (nextPort++ % LANE_PORTS);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

/** True if somebody could listen on this port of loopback now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** Runs one command to its end. */
export function run(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  return ended(child);
}

/** Collects what a process says until it ends. */
export function ended(child: ChildProcess): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

interface Proc {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** A cluster of real processes on loopback, in a folder of its own. */
export class TestCluster {
  private readonly running = new Map<string, Proc>();

  private constructor(
    readonly folder: string,
    readonly nodes: readonly LocalNode[],
    private readonly options: Readonly<Record<string, number>>,
  ) {}

  /** Makes folder and configuration; starts nothing. */
  static async create(count = 3, options: Readonly<Record<string, number>> = {}): Promise<TestCluster> {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-it-"));
    const ports = await freePorts(2 * count);
    const nodes = Array.from({ length: count }, (_, i): LocalNode => {
      const name = `n${i + 1}`;
      const data = join(folder, name);
      return {
        name,
        raftId: i + 1,
        grpc: `127.0.0.1:${ports[i]}`,
        http: `127.0.0.1:${ports[count + i]}`,
        data,
        config: join(data, "node.yaml"),
      };
    });
    const share = join(folder, "share");
    mkdirSync(share);
    for (const node of nodes) {
      mkdirSync(node.data);
      writeFileSync(node.config, localConfig(node, nodes, share, options));
    }
    return new TestCluster(folder, nodes, options);
  }

  /** Creates and starts a cluster and waits until every node is ready. */
  static async start(count = 3, options: Readonly<Record<string, number>> = {}): Promise<TestCluster> {
    const cluster = await TestCluster.create(count, options);
    try {
      cluster.startAll();
      await cluster.untilReady();
      return cluster;
    } catch (error) {
      await cluster.destroy();
      throw error;
    }
  }

  get share(): string {
    return join(this.folder, "share");
  }

  get endpoints(): string {
    return this.nodes.map((node) => node.grpc).join(",");
  }

  node(name: string): LocalNode {
    const node = this.nodes.find((each) => each.name === name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  startAll(): void {
    for (const node of this.nodes) this.startNode(node.name);
  }

  startNode(name: string, ...more: string[]): Proc {
    const child = spawn(process.execPath, [bin, "node", "--config", this.node(name).config, ...more], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, UV_THREADPOOL_SIZE: "8" },
    });
    const proc = { child, ended: ended(child) };
    this.running.set(name, proc);
    return proc;
  }

  /** Ends a node and waits until it is gone. */
  async kill(name: string, signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    const proc = this.running.get(name);
    if (proc === undefined) throw new Error(`${name} does not run`);
    proc.child.kill(signal);
    const result = await proc.ended;
    this.running.delete(name);
    return result;
  }

  signal(name: string, signal: NodeJS.Signals): void {
    this.running.get(name)?.child.kill(signal);
  }

  /** True while the process that was started last under this name has not ended. */
  isRunning(name: string): boolean {
    const child = this.running.get(name)?.child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async untilReady(
    names: readonly string[] = this.nodes.map((node) => node.name),
    withinMs = 90_000,
  ): Promise<void> {
    await Promise.all(
      names.map((name) =>
        until(`${name} is ready`, withinMs, async () => {
          const early = this.running.get(name)?.child.exitCode;
          if (early !== null && early !== undefined) {
            throw new Error(`${name} ended with ${early}: ${(await this.running.get(name)?.ended)?.stderr}`);
          }
          const answer = await fetch(`http://${this.node(name).http}/readyz?verbose`);
          // At the deadline this is what the failure tells.
          if (!answer.ok) throw new Error(await answer.text());
          return true;
        }),
      ),
    );
  }

  /** Runs a CLI command against this cluster. */
  cli(...args: string[]): Promise<Ended> {
    return run(["--endpoints", this.endpoints, ...PATIENCE, ...args]);
  }

  /**
   * Who is who: the term, and which incarnation of each node is up. A machine that stalls for longer than a lease or an
   * election changes it, and no test has asked for that.
   */
  private async standing(): Promise<string> {
    const addresses = this.nodes.filter(({ name }) => this.isRunning(name)).map(({ grpc }) => grpc);
    return until("the nodes say how things stand", STATE_WITHIN_MS, async () => {
      const { nodes } = await askAny(addresses, "ListNodes", {}, 5_000);
      const answers = await askEach(addresses, "GetStatus", {}, 5_000);
      const terms = answers.map((answer) => ("value" in answer ? Number(answer.value.term) : 0));
      const own = (nodes ?? []).filter(({ foreign }) => foreign !== true);
      const up = own.map(({ name, incarnation, status }) => [name, incarnation, status]);
      return JSON.stringify([Math.max(...terms), up]);
    });
  }

  /**
   * Runs what holds as long as the cluster stands still but for what `attempt` itself does to it. Where it fails, and
   * leaders or leases have changed meanwhile, it has shown nothing and is made again, a few times; where it fails and
   * nothing has changed, it has failed.
   */
  async undisturbed<T>(attempt: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      const before = await this.standing();
      try {
        return await attempt();
      } catch (error) {
        if (tries === UNDISTURBED_TRIES_MAX || (await this.standing()) === before) throw error;
        console.log(`      (made again, leaders or leases have changed: ${String(error).split("\n")[0]})`);
      }
    }
  }

  /** The items of a list command. */
  async items<T = Record<string, unknown>>(...args: string[]): Promise<T[]> {
    const result = await this.cli(...args, "-o", "json");
    if (result.stdout === "") throw new Error(`${args.join(" ")}: ${result.stderr}`);
    return (JSON.parse(result.stdout) as { items: T[] }).items;
  }

  /** Name of the node that leads, as the nodes that run see it. */
  leader(): Promise<string> {
    return until("there is a leader", STATE_WITHIN_MS, async () => {
      const rows = await this.items<{ node: string; role: string }>("status");
      return rows.find((row) => row.role === "leader")?.node;
    });
  }

  log(name: string): string {
    return readFileSync(join(this.node(name).data, "log"), "utf8");
  }

  /** Stops what runs, in order, and removes the folder. */
  async destroy(): Promise<void> {
    for (const [name, proc] of this.running) {
      proc.child.kill("SIGCONT");
      proc.child.kill("SIGKILL");
      await proc.ended;
      this.running.delete(name);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
