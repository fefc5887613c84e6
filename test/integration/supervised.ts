import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { until } from "./cluster.js";

const projectRoot = fileURLToPath(new URL("../../..", import.meta.url));
/** Numbers for the starts of one incarnation that the test knows of. */
const STARTS_MAX = 100;

/**
 * The worked example of a file server, as whoever runs it would keep it: it ends by itself when it has been without its
 * lease for too long, as any machine's stall may bring about, and is started again under the next number.
 */
export class Supervised {
  #child!: ChildProcess;
  #starts = 0;
  #ready = false;
  #closed = false;

  /** `args`: the arguments of node for an incarnation. */
  constructor(
    private readonly incarnation: number,
    private readonly args: (incarnation: number) => readonly string[],
  ) {
    this.#start();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when it takes calls. */
  async ready(): Promise<void> {
    await until("the server takes calls", 60_000, () => this.#ready);
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** kill -9; resolves when it is gone for good. */
  async kill(): Promise<void> {
    this.#closed = true;
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  #start(): void {
    if (this.#starts === STARTS_MAX) throw new Error(`the server has ended ${STARTS_MAX} times`);
    const args = this.args(this.incarnation * STARTS_MAX + this.#starts++);
    this.#ready = false;
    const child = spawn(process.execPath, args, { cwd: projectRoot, stdio: ["ignore", "pipe", "inherit"] });
    this.#child = child;
    child.stdout.once("data", () => (this.#ready = true));
    child.once("exit", (code) => {
      if (code !== null && !this.#closed) this.#start();
    });
  }
}
