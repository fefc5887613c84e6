import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { command } from "./command.js";
import { createDisk, type TestDisk } from "./disks.js";
import { fenceConfig, type FenceKind, type Stop } from "./fences.js";
import { addressOf, TestNetwork } from "./network.js";
import type { NodeRow } from "./records.js";

const CLIENT_HOST = "c";
const BIN = join(process.cwd(), "bin", "holdfast.js");
const PROBE = join(process.cwd(), "dist", "test", "chaos", "probe.js");

/** One node of the test: a host, a disk, a process. */
export interface ChaosNode {
  readonly name: string;
  readonly address: string;
  readonly endpoint: string;
  readonly disk: TestDisk;
  readonly configFile: string;
  process: ChildProcess | null;
  /** How often it ended by itself, with which code: anything but what a fault explains is a finding. */
  readonly exits: { readonly code: number | null; readonly signal: string | null; readonly atMs: number }[];
  /** Set while a node that the fence has killed waits to be started again. */
  revival: NodeJS.Timeout | null;
}

/** As long as systemd waits by default before it starts again what was killed. */
const REVIVAL_MS = 100;

/** Three hosts with a node each, a shared directory, and a host for the clients. */
export class ChaosCluster {
  readonly folder: string;
  readonly network: TestNetwork;
  readonly nodes: readonly ChaosNode[];
  readonly share: TestDisk;
  /** What a fault saw that must not be: each is a violation. */
  readonly findings: string[] = [];
  /** Every stop of a node, for who asks whether it may have left a write behind. */
  readonly stops: Stop[] = [];
  readonly #clients: ChildProcess[] = [];
  /** How often the fence command has killed a node. */
  fenced = 0;

  private constructor(folder: string, network: TestNetwork, nodes: readonly ChaosNode[], share: TestDisk) {
    this.folder = folder;
    this.network = network;
    this.nodes = nodes;
    this.share = share;
  }

  /** Makes the hosts and disks; nothing runs yet. Needs root. */
  static async create(tag: string, fence: FenceKind): Promise<ChaosCluster> {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-chaos-"));
    await chmod(folder, 0o755);
    const names = ["n1", "n2", "n3"];
    const network = await TestNetwork.create(tag, [...names, CLIENT_HOST]);
    const share = await createDisk(folder, "share", 1024);
    const members = names.map((name, i) => ({
      name,
      raftId: i + 1,
      grpc: `${addressOf(i)}:7401`,
      http: `${addressOf(i)}:7501`,
    }));
    const nodes: ChaosNode[] = [];
    for (const [i, name] of names.entries()) {
      const disk = await createDisk(folder, name, 512);
      const configFile = join(folder, `${name}.yaml`);
      mkdirSync(join(disk.mountPoint, "data"), { recursive: true });
      const config = {
        name,
        cluster: { id: `chaos-${tag}`, members },
        data: join(disk.mountPoint, "data"),
        shares: [{ name: "demo", path: share.mountPoint }],
        insecure: true,
        fence: fenceConfig(fence, folder),
      };
      writeFileSync(configFile, stringify(config));
      nodes.push({
        name,
        address: addressOf(i),
        endpoint: `${addressOf(i)}:7401`,
        disk,
        configFile,
        process: null,
        exits: [],
        revival: null,
      });
    }
    return new ChaosCluster(folder, network, nodes, share);
  }

  get endpoints(): string[] {
    return this.nodes.map((node) => node.endpoint);
  }

  node(name: string): ChaosNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Starts a node's process in its host, unless it runs. `environment` for a clock of its own. */
  start(node: ChaosNode, environment: Readonly<Record<string, string>> = {}): void {
    this.#stayDown(node);
    if (node.process !== null) return;
    const args = [
      ...this.network.inHost(node.name),
      process.execPath,
      BIN,
      "node",
      "--config",
      node.configFile,
    ];
    const child = spawn("ip", args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    const log = createWriteStream(join(this.folder, `${node.name}.out`), { flags: "a" });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    const { pid } = this.#files(node);
    writeFileSync(pid, String(child.pid));
    child.once("exit", (code, signal) => {
      rmSync(pid, { force: true });
      node.exits.push({ code, signal, atMs: performance.now() });
      node.process = null;
      if (signal !== "SIGKILL" || !this.#wasFenced(node, child)) return;
      this.fenced += 1;
      // As a service manager would. Whoever wants it down, or starts it himself, says so.
      node.revival = setTimeout(() => this.start(node, environment), REVIVAL_MS);
    });
    node.process = child;
  }

  /** What the fence command and the harness know of each other by (kill-node.sh). */
  #files(node: ChaosNode): { pid: string; fenced: string } {
    return { pid: join(this.folder, `${node.name}.pid`), fenced: join(this.folder, `${node.name}.fenced`) };
  }

  #wasFenced(node: ChaosNode, child: ChildProcess): boolean {
    try {
      return readFileSync(this.#files(node).fenced, "utf8").trim() === String(child.pid);
    } catch {
      return false;
    }
  }

  #stayDown(node: ChaosNode): void {
    if (node.revival !== null) clearTimeout(node.revival);
    node.revival = null;
  }

  signal(node: ChaosNode, signal: NodeJS.Signals): void {
    node.process?.kill(signal);
  }

  /** Ends a process and waits until it is gone. */
  async end(node: ChaosNode, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = node.process;
    if (child !== null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGCONT");
      child.kill(signal);
      await gone;
    }
    this.#stayDown(node);
  }

  /** A process in the clients' host. */
  spawnClient(script: string, args: readonly string[]): ChildProcess {
    const line = [
      ...this.network.inHost(CLIENT_HOST),
      process.execPath,
      "--enable-source-maps",
      script,
      ...args,
    ];
    const child = spawn("ip", line, { stdio: ["pipe", "pipe", "inherit"] });
    this.#clients.push(child);
    return child;
  }

  /** Every node that answers, asked from the clients' host. */
  async probe(): Promise<NodeRow[]> {
    const line = [...this.network.inHost(CLIENT_HOST), process.execPath, PROBE, ...this.endpoints];
    try {
      return JSON.parse(await command("ip", line, 15_000)) as NodeRow[];
    } catch {
      return [];
    }
  }

  /** Who leads, as the nodes that answer say: the one of the highest term; null while nobody does. */
  async leader(): Promise<NodeRow | null> {
    const leaders = (await this.probe()).filter((row) => row.role === "leader");
    return leaders.sort((a, b) => b.term - a.term)[0] ?? null;
  }

  /** Cuts a node off from all others, or heals it. */
  async isolate(node: ChaosNode, direction: "both" | "outgoing" | "incoming", cut: boolean): Promise<void> {
    const others = [
      ...this.nodes.filter((each) => each !== node).map((each) => [each.name, each.address] as const),
    ];
    others.push([CLIENT_HOST, addressOf(this.nodes.length)]);
    for (const [name, address] of others) {
      if (direction !== "incoming") await this.route(node.name, address, cut);
      if (direction !== "outgoing") await this.route(name, node.address, cut);
    }
  }

  /** Cuts only the clients off from a node: its peers still see it. */
  async blackholeForClients(node: ChaosNode, cut: boolean): Promise<void> {
    await this.route(CLIENT_HOST, node.address, cut);
  }

  private async route(host: string, address: string, cut: boolean): Promise<void> {
    if (cut) await this.network.cut(host, address);
    else await this.network.heal(host, address);
  }

  /** Ends everything and removes hosts, disks and files. */
  async close(keepFiles: boolean): Promise<void> {
    for (const client of this.#clients) client.kill("SIGKILL");
    await this.share.thaw();
    for (const node of this.nodes) {
      await node.disk.thaw();
      await this.end(node, "SIGKILL");
    }
    await this.network.close([...this.nodes.map((node) => node.name), CLIENT_HOST]);
    if (keepFiles) return;
    for (const node of this.nodes) await node.disk.close();
    await this.share.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
