import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { ErrorCode, HoldfastError } from "../../wire/errors.js";
import { DEFAULT_ENDPOINTS, usageError, type CliContext } from "../context.js";
import { EXIT } from "../exit-codes.js";
import { localConfig, localNodes, type LocalNode } from "../local-cluster.js";
import { NodeProcess } from "../node-process.js";
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
/** Beside the folders of the nodes: the ports under which they served first. */
const BASE_PORT_FILE = "base-port";

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
  refuseOtherPorts(data, options.basePort);
  writeFiles(data, nodes);
  const started: NodeProcess[] = [];
  let stopping = false;
  let wake = (): void => {};
  const asked = new Promise<"stop">((done) => {
    wake = () => done("stop");
  });
  const onSignal = () => {
    if (stopping) {
      for (const each of started) each.kill("SIGKILL");
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
        if (outcome === EXIT.unavailable)
          context.say(
            `the nodes do not serve ${READY_WITHIN_MS / 1000} s after their start. Next: look at what they print above`,
          );
        await stopAll(context, started);
        return outcome;
      }
      noteBasePort(data, options.basePort);
      await welcome({ ...context, endpoints: nodes.map((node) => node.grpc), output: "table" }, nodes);
      watch(context, started, options, () => stopping);
      const last = await Promise.race([asked, options.restart ? asked : allEnded(started)]);
      if (last !== "stop") {
        context.say("no node is left");
        return last;
      }
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

/**
 * Members find each other by the addresses that the cluster has stored, so under other ports they never would. What never
 * served has stored none: after a port that was taken another one may be tried.
 */
function refuseOtherPorts(data: string, basePort: number): void {
  let former: string;
  try {
    former = readFileSync(join(data, BASE_PORT_FILE), "utf8").trim();
  } catch {
    return;
  }
  if (former === String(basePort)) return;
  throw usageError(
    `data folder ${shown(data)} is of a cluster that was made with --base-port ${former}, not ${basePort}`,
    `start it with ${former} (make up: BASE_PORT=${former}), or choose another folder with --data`,
  );
}

function noteBasePort(data: string, basePort: number): void {
  try {
    writeFileSync(join(data, BASE_PORT_FILE), `${basePort}\n`);
  } catch {
    // Only the later refusal is lost; the nodes serve.
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

function start(context: CliContext, node: LocalNode): NodeProcess {
  return new NodeProcess(node, (line) => context.say(`${node.name}: ${line}`));
}

/** Null when all answer, else the exit code of the first one that ended, or of a time-out. */
async function ready(started: readonly NodeProcess[]): Promise<number | null> {
  const deadline = Date.now() + READY_WITHIN_MS;
  const failed = Promise.race(started.map(async (each) => (await each.ended).code ?? EXIT.failure));
  const all = Promise.all(started.map((each) => each.untilReady(deadline))).then((oks) =>
    oks.every(Boolean) ? null : EXIT.unavailable,
  );
  // A node that ends makes its readiness false as well: how it ended says more.
  const first = await Promise.race([failed, all]);
  return first === EXIT.unavailable && started.some((each) => !each.alive) ? failed : first;
}

async function welcome(context: CliContext, nodes: readonly LocalNode[]): Promise<void> {
  await status(context);
  const [first] = nodes;
  const elsewhere =
    nodes.map((node) => node.grpc).join(",") === DEFAULT_ENDPOINTS
      ? []
      : [`  export HOLDFAST_ENDPOINTS=${nodes.map((node) => node.grpc).join(",")}`];
  context.out(
    [
      "",
      "Try, in another terminal:",
      ...elsewhere,
      "  npx holdfast files put README.md demo:/README.md",
      "  npx holdfast status -o wide",
      `  kill -9 $(cat ${shown(first?.data ?? "")}/pid); npx holdfast files cat demo:/README.md`,
      "",
      `Metrics and health: http://${first?.http}/metrics, /livez, /readyz. Ctrl-C stops the cluster.`,
    ].join("\n"),
  );
}

/** Says when a node ends by itself, and how to have it back. */
function watch(
  context: CliContext,
  started: NodeProcess[],
  options: UpOptions,
  stopping: () => boolean,
): void {
  const follow = (i: number): void => {
    const each = started[i];
    if (each === undefined) return;
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
        started[i] = start(context, each.node);
        follow(i);
      }, RESTART_AFTER_MS);
    });
  };
  started.forEach((_, i) => follow(i));
}

/** The exit code of the first node, once all have ended. */
async function allEnded(started: readonly NodeProcess[]): Promise<number> {
  const [first] = await Promise.all(started.map((each) => each.ended));
  return first?.code || EXIT.failure;
}

/** One after the other, so that leadership can be handed over while there is a quorum. */
async function stopAll(context: CliContext, started: readonly NodeProcess[]): Promise<void> {
  for (const each of started) {
    if (!each.alive) continue;
    const { code, signal } = await each.stop(STOP_WITHIN_MS);
    const name = each.node.name;
    context.say(code === 0 ? `${name} stopped` : `${name} ended by ${signal ?? `exit code ${code}`}`);
  }
}

function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short === "" || short.startsWith("..") ? path : short;
}
