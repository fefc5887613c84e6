import { Command } from "commander";
import { version } from "../node/version.js";
import { printable } from "./format.js";
import type { Done } from "./program/action.js";
import { addMoves, addOperations, addSchedule } from "./program/changes.js";
import { addCheck } from "./program/check.js";
import { addFiles } from "./program/files.js";
import { addEvents, addExplain, addFailovers } from "./program/history.js";
import { addLists } from "./program/lists.js";
import { addMembers } from "./program/members.js";
import { addProcesses } from "./program/processes.js";

const EXIT_TABLE = `
Exit codes: 0 ok, 1 failure, 2 usage, 3 degraded, 4 unavailable or no quorum, 5 precondition (the world has moved),
6 already so, 7 outcome unknown, 124 timed out.`;

/** The whole command line. `done` receives the exit code of the command that ran. */
export function buildProgram(done: Done): Command {
  const program = new Command("holdfast")
    .description(
      "Clustered failover coordinator: file handles, locks and leases that outlive the server that granted them.",
    )
    .version(version)
    .option("--endpoints <list>", "nodes to ask, host:port,host:port (or HOLDFAST_ENDPOINTS)")
    .option("-o, --output <format>", "table, wide, json or yaml", "table")
    .option("--timeout <duration>", "longest wait, such as 500ms or 10s (default: 10s, for files 120s)")
    .option("--tls-ca <file>", "CA of a cluster that listens with TLS (or HOLDFAST_TLS_CA)")
    .option("--tls-cert <file>", "this client's certificate (or HOLDFAST_TLS_CERT)")
    .option("--tls-key <file>", "its key (or HOLDFAST_TLS_KEY)")
    .option("--stale", "answer from the asked node's own state, without a quorum")
    .addHelpText("after", EXIT_TABLE)
    // A page of a command is read alone: what every command takes stands there too.
    .configureHelp({ showGlobalOptions: true })
    .exitOverride();
  addProcesses(program, done);
  addLists(program, done);
  addMembers(program, done);
  addFailovers(program, done);
  addEvents(program, done);
  addExplain(program, done);
  addCheck(program, done);
  addFiles(program, done);
  addSchedule(program, done);
  addMoves(program, done);
  addOperations(program, done);
  errorsInOneLine(program, "holdfast");
  return program;
}

/** What commander refuses is told like everything else: one line, which ends with the page that helps. */
function errorsInOneLine(command: Command, path: string): void {
  command.configureOutput({
    outputError: (text, write) => {
      const told = text
        .replace(/^error: /, "")
        .trim()
        .replaceAll("\n", " ")
        .replace(/\.$/, "");
      write(`holdfast: ${printable(told)}. Next: ${path} --help\n`);
    },
  });
  for (const each of command.commands) errorsInOneLine(each, `${path} ${each.name()}`);
}
