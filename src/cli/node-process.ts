import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "../node/process-settings.js";
import type { LocalNode } from "./local-cluster.js";

const bin = fileURLToPath(new URL("../../../bin/holdfast.js", import.meta.url));

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A node as a child process of this one. */
export class NodeProcess {
  readonly ended: Promise<Ended>;
  private child: ChildProcess;
  private running = true;
  private listening = false;

  /** Starts it. `say` gets each line that it writes to stderr. */
  constructor(
    readonly node: LocalNode,
    say: (line: string) => void,
  ) {
    // A process group of its own: Ctrl-C in the terminal must reach the parent alone, which then stops its nodes in
    // order. Through the channel the node learns when the parent is gone without a word.
    this.child = spawn(process.execPath, [...NODE_FLAGS, bin, "node", "--config", node.config], {
      detached: true,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      env: { ...NODE_ENVIRONMENT, ...process.env },
    });
    this.child.stderr?.setEncoding("utf8");
    this.child.stderr?.on("data", (text: string) => {
      for (const line of text.split("\n")) if (line !== "") say(line);
    });
    this.child.once("message", () => (this.listening = true));
    this.ended = new Promise((resolve) => {
      this.child.once("close", (code, signal) => {
        this.running = false;
        resolve({ code, signal });
      });
    });
  }

  get alive(): boolean {
    return this.running;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Asks it to stop in order, kills it after `withinMs`. */
  async stop(withinMs: number): Promise<Ended> {
    const timer = setTimeout(() => this.kill("SIGKILL"), withinMs);
    this.kill("SIGTERM");
    const ended = await this.ended;
    clearTimeout(timer);
    return ended;
  }

  /**
   * Polls /readyz; false at the deadline (Unix ms) or when the process ends before. Not before the node has said that it
   * listens: until then whoever answers at that port is somebody else, as another cluster that runs already.
   */
  async untilReady(deadline: number): Promise<boolean> {
    while (Date.now() < deadline && this.running) {
      if (this.listening && (await this.isReady())) return true;
      await new Promise((done) => setTimeout(done, 50));
    }
    return false;
  }

  private async isReady(): Promise<boolean> {
    try {
      const response = await fetch(`http://${this.node.http}/readyz`, { signal: AbortSignal.timeout(3_000) });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      // Gone, or too busy to answer in time.
      return false;
    }
  }
}
