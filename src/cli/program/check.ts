import type { Command } from "commander";
import { checkFailover, type CheckOptions } from "../commands/check.js";
import { action, count, type Done } from "./action.js";

/** `check`: a running cluster, measured. */
export function addCheck(program: Command, done: Done): void {
  program
    .command("check")
    .description("measure a running cluster")
    .command("failover")
    .description("move leadership and a probe session, and measure the pause that a client sees")
    .option("--share <name>", "where the probe file is made", "demo")
    .option("--runs <n>", "so often each", "5")
    .option(
      "--budget <duration>",
      "longest pause: the first one above it ends the check with exit code 1",
      "5s",
    )
    .option("--kill-leader", "also kill -9 the node that leads; wants --data")
    .option("--kill-owner", "also kill -9 the node that owns the probe; wants the same")
    .option("--data <folder>", "where the nodes of this host keep their folders, with their pid files")
    .option("--yes", "move and kill without asking; else each is asked about before anything is done")
    .action(
      action<[Omit<CheckOptions, "runs"> & { runs: string }]>(done, (context, o) =>
        checkFailover(context, { ...o, runs: count(o.runs, "--runs") }),
      ),
    );
}
