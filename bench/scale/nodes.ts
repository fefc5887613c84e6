import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { localConfig, type LocalNode } from "../../src/cli/local-cluster.js";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "../../src/node/process-settings.js";
import { Child, waitFor } from "../processes.js";
import { HOLD_WATCH, holdsFile } from "./holds.js";

const bin = fileURLToPath(new URL("../../../bin/holdfast.js", import.meta.url));

/** A node process with what its metrics say. */
export class ScaleNode {
  child: Child | null = null;

  constructor(
    readonly node: LocalNode,
    private readonly config: string,
    private readonly flags: readonly string[] = [],
  ) {}

  get isRunning(): boolean {
    return this.child?.alive === true;
  }

  start(): void {
    mkdirSync(this.node.data, { recursive: true });
    writeFileSync(this.node.config, this.config);
    const args = [...NODE_FLAGS, ...this.flags, HOLD_WATCH, bin, "node", "--config", this.node.config];
    this.child = new Child(this.node.name, process.execPath, args, {
      ...NODE_ENVIRONMENT,
      HOLDS: holdsFile(this.node.data),
    });
  }

  /** Milliseconds from now until it is ready. */
  async untilReady(limitMs: number): Promise<number> {
    const began = performance.now();
    await this.until("to be ready", limitMs, async () => (await fetch(`http://${this.node.http}/readyz`)).ok);
    return performance.now() - began;
  }

  async until(what: string, limitMs: number, holds: () => Promise<boolean>): Promise<void> {
    const children = this.child === null ? [] : [this.child];
    await waitFor(`${this.node.name} ${what}`, children, limitMs, async () =>
      (await holds()) ? true : null,
    );
  }

  /** The unlabelled metrics of the node, without the prefix of their names. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`http://${this.node.http}/metrics`)).text();
    const found = new Map<string, number>();
    for (const line of text.split("\n")) {
      const match = /^(?:holdfast_)?([a-z0-9_]+) ([-+0-9.eE]+)$/.exec(line);
      if (match) found.set(match[1] as string, Number(match[2]));
    }
    return found;
  }

  async metric(name: string): Promise<number> {
    const value = (await this.metrics()).get(name);
    if (value === undefined) throw new Error(`${this.node.name} has no metric ${name}`);
    return value;
  }

  /**
   * kill -9. The host of a dead node is another one in earnest: that the kernel takes back a gigabyte, a tenth of a second
   * of one of two cores, is left to idle time here, or it would be part of what the survivors' clients wait for.
   */
  async kill(): Promise<void> {
    await schedule("--idle", this.child?.process.pid);
    this.child?.process.kill("SIGKILL");
    await this.child?.ended;
  }

  async stop(): Promise<void> {
    await this.child?.stop();
  }
}

/** Sets the scheduling class of all threads of a process with util-linux's chrt; without the right to, it stays. */
export async function schedule(policy: "--idle" | "--other" | "--rr", pid = process.pid): Promise<void> {
  const priority = policy === "--rr" ? "10" : "0";
  const args = ["--all-tasks", policy, "--pid", priority, String(pid)];
  await new Promise<void>((resolve) => execFile("chrt", args, () => resolve()));
}

/** The nodes of a cluster on this host. */
export function scaleNodes(
  nodes: readonly LocalNode[],
  share: string,
  flags: readonly string[],
): ScaleNode[] {
  mkdirSync(share, { recursive: true });
  return nodes.map((node) => new ScaleNode(node, localConfig(node, nodes, share), flags));
}

/** Runs a command of the operator; throws with what it printed when it fails. */
export function operator(endpoints: readonly string[], ...args: string[]): string {
  const run = spawnSync(process.execPath, [bin, "--endpoints", endpoints.join(","), ...args], {
    encoding: "utf8",
    timeout: 60_000,
  });
  if (run.status !== 0) throw new Error(`holdfast ${args.join(" ")}: ${run.stdout}${run.stderr}`);
  return run.stdout;
}
