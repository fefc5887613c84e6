import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { usageError, type CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { localConfig, localNodes, type LocalNode } from "../local-cluster.js";
import { status } from "./status.js";

/** Options of `holdfast up`. */
export interface UpOptions {
  readonly basePort: number;
  readonly data: string;
  readonly restart: boolean;
}

/** Longest wait until all nodes answer a linearizable read; the first start makes three databases. */
const READY_WITHIN_MS = 60_000;
/** A node that does not stop by then is killed; above the node's own bound, so that it can say what it waited for. */
const STOP_WITHIN_MS = 15_000;
const RESTART_AFTER_MS = 2_000;

const bin = fileURLToPath(new URL("../../../../bin/holdfast.js", import.meta.url));

interface Running {
  readonly node: LocalNode;
  child: ChildProcess;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  alive: boolean;
}

/** `holdfast up`: three nodes on loopback as children of this process; Ctrl-C stops them in order. */
export async function up(context: CliContext, options: UpOptions): Promise<number> {
  if (options.basePort > 65_535 - 102 || options.basePort < 1) {
    throw usageError(
      `--base-port ${options.basePort}: ports up to ${options.basePort + 102} are needed`,
      "choose one from 1024 to 65000",
    );
  }
  const data = resolve(options.data);
  const nodes = localNodes(data, options.basePort);
  writeFiles(data, nodes);
  const started: Running[] = [];
  let stopping = false;
  let wake = (): void => {};
  const asked = new Promise<"stop">((done) => {
    wake = () => done("stop");
  });
  const onSignal = () => {
    if (stopping) {
      for (const each of started) each.child.kill("SIGKILL");
      process.exit(130);
    }
    stopping = true;
    wake();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  process.on("SIGHUP", onSignal);
  context.say(`starting ${nodes.map((node) => node.name).join(", ")}, data in ${shown(data)}`);
  for (const node of nodes) started.push(start(context, node));
  try {
    const outcome = await Promise.race([asked, ready(started)]);
    if (outcome !== "stop") {
      if (outcome !== null) {
        await stopAll(context, started);
        return outcome;
      }
      await welcome({ ...context, endpoints: nodes.map((node) => node.grpc), output: "table" }, nodes);
      watch(context, started, options, () => stopping);
      await asked;
    }
    context.say("stopping");
    await stopAll(context, started);
    return EXIT.ok;
  } finally {
    process.removeListener("SIGINT", onSignal);
    process.removeListener("SIGTERM", onSignal);
    process.removeListener("SIGHUP", onSignal);
  }
}

function writeFiles(data: string, nodes: readonly LocalNode[]): void {
  try {
    mkdirSync(join(data, "share"), { recursive: true });
    for (const node of nodes) {
      mkdirSync(node.data, { recursive: true });
      writeFileSync(node.config, localConfig(node, nodes, join(data, "share")));
    }
  } catch (error) {
    throw new HoldfastError(
      ErrorCode.STORAGE_FAILED,
      `data folder ${data} cannot be written: ${(error as Error).message}`,
      {
        next: "choose another with --data FOLDER",
      },
    );
  }
}

function start(context: CliContext, node: LocalNode): Running {
  // A process group of its own: Ctrl-C in the terminal must reach this process alone, which then stops them in order.
  // The channel tells the node when this process is gone without a word.
  const child = spawn(process.execPath, [bin, "node", "--config", node.config], {
    detached: true,
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { UV_THREADPOOL_SIZE: "16", ...process.env },
  });
  child.stderr?.setEncoding("utf8");
  child.stderr?.on("data", (text: string) => {
    for (const line of text.split("\n")) if (line !== "") context.say(`${node.name}: ${line}`);
  });
  const running: Running = {
    node,
    child,
    alive: true,
    ended: new Promise((done) => {
      child.once("close", (code, signal) => {
        running.alive = false;
        done({ code, signal });
      });
    }),
  };
  return running;
}

/** Null when all answer, else the exit code of the first one that ended, or of a time-out. */
async function ready(started: readonly Running[]): Promise<number | null> {
  const deadline = Date.now() + READY_WITHIN_MS;
  const failed = Promise.race(started.map(async (each) => (await each.ended).code ?? EXIT.failure));
  const all = Promise.all(started.map((each) => untilReady(each.node, deadline))).then((oks) =>
    oks.every(Boolean) ? null : EXIT.unavailable,
  );
  return Promise.race([failed, all]);
}

async function untilReady(node: LocalNode, deadline: number): Promise<boolean> {
  while (Date.now() < deadline) {
    try {
      const response = await fetch(`http://${node.http}/readyz`, { signal: AbortSignal.timeout(3_000) });
      await response.arrayBuffer();
      if (response.ok) return true;
    } catch {
      // Not listening yet.
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  return false;
}

async function welcome(context: CliContext, nodes: readonly LocalNode[]): Promise<void> {
  await status(context);
  const local = nodes[0]?.grpc === "127.0.0.1:7401";
  const where = local ? "" : ` --endpoints ${nodes.map((node) => node.grpc).join(",")}`;
  const [first] = nodes;
  context.out(
    [
      "",
      "Try, in another terminal:",
      `  npx holdfast files put README.md demo:/README.md${where}`,
      `  npx holdfast sessions -o wide${where}`,
      `  kill -9 $(cat ${shown(first?.data ?? "data/n1")}/pid) && npx holdfast status${where}`,
      "",
      `Metrics and health: http://${first?.http}/metrics, /livez, /readyz. Ctrl-C stops the cluster.`,
    ].join("\n"),
  );
}

/** Says when a node ends by itself, and how to have it back. */
function watch(context: CliContext, started: Running[], options: UpOptions, stopping: () => boolean): void {
  const follow = (each: Running): void => {
    void each.ended.then(({ code, signal }) => {
      if (stopping()) return;
      context.say(`${each.node.name} ended by ${signal ?? `itself with exit code ${code}`}`);
      if (!options.restart) {
        context.say(`start it again: npx holdfast node --config ${shown(each.node.config)}`);
        return;
      }
      setTimeout(() => {
        if (stopping()) return;
        context.say(`starting ${each.node.name} again`);
        const again = start(context, each.node);
        Object.assign(each, { child: again.child, ended: again.ended, alive: true });
        void again.ended.then(() => {
          each.alive = false;
        });
        follow(each);
      }, RESTART_AFTER_MS);
    });
  };
  for (const each of started) follow(each);
}

/** One after the other, so that leadership can be handed over while there is a quorum. */
async function stopAll(context: CliContext, started: readonly Running[]): Promise<void> {
  for (const each of started) {
    if (!each.alive) continue;
    const timer = setTimeout(() => each.child.kill("SIGKILL"), STOP_WITHIN_MS);
    each.child.kill("SIGTERM");
    const { code, signal } = await each.ended;
    clearTimeout(timer);
    context.say(
      code === 0
        ? `${each.node.name} stopped`
        : `${each.node.name} ended by ${signal ?? `exit code ${code}`}`,
    );
  }
}

function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short === "" || short.startsWith("..") ? path : short;
}
