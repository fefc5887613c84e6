import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { HTTP_OFFSET, localConfig, localNodes, type LocalNode } from "../local-cluster.js";
import { NodeProcess } from "../node-process.js";

const READY_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 15_000;

/** Three nodes of its own, in a temporary folder, on ports that were free. */
export class DemoCluster {
  private readonly processes = new Map<string, NodeProcess>();

  private constructor(
    readonly folder: string,
    readonly nodes: readonly LocalNode[],
    private readonly say: (line: string) => void,
  ) {}

  static async start(say: (line: string) => void): Promise<DemoCluster> {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-demo-"));
    const cluster = new DemoCluster(folder, localNodes(folder, await freeBasePort()), say);
    mkdirSync(cluster.share);
    for (const node of cluster.nodes) {
      mkdirSync(node.data);
      writeFileSync(node.config, localConfig(node, cluster.nodes, cluster.share));
      cluster.spawn(node);
    }
    await Promise.all(cluster.nodes.map((node) => cluster.untilReady(node.name)));
    return cluster;
  }

  get share(): string {
    return join(this.folder, "share");
  }

  get endpoints(): string[] {
    return this.nodes.map((node) => node.grpc);
  }

  /** Kill -9, and proof that it is gone. */
  async kill(name: string): Promise<void> {
    const process = this.process(name);
    process.kill("SIGKILL");
    await process.ended;
  }

  async startAgain(name: string): Promise<void> {
    this.spawn(this.process(name).node);
    await this.untilReady(name);
  }

  /** Stops what runs and removes the folder. */
  async destroy(): Promise<void> {
    for (const process of this.processes.values()) if (process.alive) await process.stop(STOP_WITHIN_MS);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private spawn(node: LocalNode): void {
    this.processes.set(node.name, new NodeProcess(node, (line) => this.say(line)));
  }

  private process(name: string): NodeProcess {
    const process = this.processes.get(name);
    if (process === undefined) throw new Error(`no node ${name}`);
    return process;
  }

  private async untilReady(name: string): Promise<void> {
    if (await this.process(name).untilReady(Date.now() + READY_WITHIN_MS)) return;
    throw new HoldfastError(
      ErrorCode.NOT_READY,
      `${name} was not ready within ${READY_WITHIN_MS / 1_000} s`,
      {
        next: `see ${join(this.process(name).node.data, "log")}`,
      },
    );
  }
}

/** A base port such that the three ports above it, and those of HTTP, were free a moment ago. */
async function freeBasePort(): Promise<number> {
  for (let base = 21_401; base < 60_000; base += 200) {
    const wanted = [0, 1, 2].flatMap((i) => [base + i, base + i + HTTP_OFFSET]);
    const free = await Promise.all(wanted.map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new HoldfastError(ErrorCode.PRECONDITION_FAILED, "no six free ports on this host", {
    next: "ss -ltn",
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
