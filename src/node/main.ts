import { HoldfastError } from "../wire/errors.js";
import { loadConfig, type ConfigSources, type NodeConfig } from "./config.js";
import { NODE_EXIT, NodeExitError } from "./exit-codes.js";
import { startNode, type RunningNode } from "./node.js";
import { crashExit } from "./storage-exits.js";

/**
 * Runs a node until it is told to stop; the process's exit code is NODE_EXIT's. SIGTERM, SIGINT and the end of a parent
 * that started it with a channel stop it in order; a second signal ends it at once.
 */
export async function runNode(sources: ConfigSources): Promise<number> {
  let node: RunningNode | undefined;
  let crashed = false;
  let config: NodeConfig | undefined;
  const crash = (thrown: unknown): void => {
    if (crashed) return;
    crashed = true;
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    node?.log.error({ error: error.message, stack: error.stack }, "uncaught exception, stopping at once");
    node?.flushLog();
    const exit = crashExit(error, config);
    say(exit.line);
    // No ordered stop: the state in memory cannot be trusted any more, and the disk is safe at every moment.
    process.exit(exit.exitCode);
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  try {
    config = loadConfig(sources);
    const { name, listen } = config;
    const stop = stopRequest();
    node = await startNode(config, (fatal) => {
      say(fatal.line);
      node?.log.error({ error: fatal.message }, "stopping at once");
      node?.flushLog();
      process.exit(fatal.exitCode);
    });
    say(`${name} listens: gRPC ${listen.grpc}, HTTP ${listen.http}; pid ${process.pid}`);
    // To a parent that asks the ports: from here on it is this process that answers there.
    process.send?.("listening");
    const why = await stop;
    say(`${name} stops: ${why}`);
    await node.stop(why);
    return NODE_EXIT.stopped;
  } catch (thrown) {
    const exit = asExit(thrown);
    node?.log.error({ error: exit.message }, "the node ends");
    node?.flushLog();
    say(exit.line);
    return exit.exitCode;
  }
}

/** Resolves with the reason when somebody wants the node to stop. */
function stopRequest(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const ask = (why: string) => {
      if (asked) process.exit(NODE_EXIT.failed);
      asked = true;
      resolve(why);
    };
    process.on("SIGTERM", () => ask("SIGTERM"));
    process.on("SIGINT", () => ask("SIGINT"));
    process.on("disconnect", () => ask("its parent is gone"));
  });
}

/** Any failure of a start as one line and an exit code. */
function asExit(thrown: unknown): NodeExitError {
  if (thrown instanceof NodeExitError) return thrown;
  if (thrown instanceof HoldfastError) {
    const next = thrown.extras.next ?? "see the log in the data folder";
    return new NodeExitError(NODE_EXIT.failed, thrown.message, next, thrown);
  }
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return new NodeExitError(
    NODE_EXIT.internal,
    error.message,
    "report it with the log in the data folder",
    error,
  );
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
