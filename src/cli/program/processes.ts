import type { Command } from "commander";
import { demo } from "../commands/demo.js";
import { up } from "../commands/up.js";
import { action, count, type Done } from "./action.js";

const NODE_EXIT_TABLE = `
Exit codes of a node: 0 stopped in order, 1 failed, 2 wrong flag or configuration, 66 data folder damaged or of another
node, 67 data folder in use, 69 address in use, 70 broken invariant, 73 data folder not writable, 74 disk failed.`;

/** `up`, `demo`, `node`: what runs nodes. */
export function addProcesses(program: Command, done: Done): void {
  program
    .command("up")
    .description("start three nodes on this host; Ctrl-C stops them")
    .option("--base-port <port>", "gRPC ports from here on, HTTP 100 above", "7401")
    .option("--data <folder>", "where the nodes and the share keep their data", "data")
    .option("--restart", "start a node again by itself when it dies")
    .action(
      action<[{ basePort: string; data: string; restart?: boolean }]>(done, (context, o) =>
        up(context, {
          basePort: count(o.basePort, "--base-port", 7401),
          data: o.data,
          restart: o.restart ?? false,
        }),
      ),
    );
  program
    .command("demo")
    .description(
      "play a failover story on three nodes and real files of its own, and check every claim in it",
    )
    .action(action(done, demo));
  program
    .command("node")
    .description("run one node in the foreground; SIGTERM stops it in order")
    .option("--config <file>", "its configuration, YAML")
    .option("--set <path=value>", "one setting above the file's, such as options.leaseMs=2000", collect)
    .addHelpText("after", NODE_EXIT_TABLE)
    .action(async (o: { config?: string; set?: string[] }) => {
      // Loaded only here: the rest of the command line needs neither database nor server.
      const { runNode } = await import("../../node/main.js");
      const code = await runNode({
        ...(o.config === undefined ? {} : { file: o.config }),
        env: process.env,
        settings: o.set ?? [],
      });
      // Everything is stopped and flushed; a channel to a parent would keep the process.
      process.exit(code);
    });
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}
