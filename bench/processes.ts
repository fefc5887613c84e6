import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** A child process of the benchmark, with what it said last, for the case that it dies. */
export class Child {
  readonly process: ChildProcess;
  readonly name: string;
  readonly ended: Promise<void>;
  #tail = "";

  constructor(name: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.name = name;
    this.process = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.on("data", (text: Buffer) => (this.#tail = (this.#tail + text.toString()).slice(-4_000)));
    this.ended = new Promise((resolve) => this.process.once("close", () => resolve()));
    this.process.once("error", (error) => (this.#tail += String(error)));
  }

  get alive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  get tail(): string {
    return this.#tail;
  }

  /** CPU time used so far in ms, all threads. */
  cpuMs(): number {
    const fields = statOf(this.process.pid ?? 0);
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** Asks it to stop, and makes it after `limitMs`. */
  async stop(limitMs = 20_000): Promise<void> {
    if (this.alive) this.process.kill("SIGTERM");
    const late = sleep(limitMs, "late", { ref: false });
    if ((await Promise.race([this.ended, late])) === "late") this.process.kill("SIGKILL");
    await this.ended;
  }
}

/** CPU time used so far by this process and its children that have ended, in ms. */
export function ownCpuMs(): number {
  const fields = statOf(process.pid);
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * 10;
}

/** What the kernel says of a process, from its third field on. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Polls until `ready` gives something; fails with the children's last words when one dies or time is up. */
export async function waitFor<T>(
  what: string,
  children: readonly Child[],
  limitMs: number,
  ready: () => Promise<T | null>,
): Promise<T> {
  const until = Date.now() + limitMs;
  for (;;) {
    const value = await ready().catch(() => null);
    if (value !== null) return value;
    const dead = children.find((child) => !child.alive);
    if (dead !== undefined) throw new Error(`${dead.name} ended while waiting for ${what}:\n${dead.tail}`);
    if (Date.now() > until)
      throw new Error(
        `${what}: not within ${limitMs} ms\n${children.map((c) => `${c.name}: ${c.tail}`).join("\n")}`,
      );
    await sleep(50);
  }
}
