import { Command, Option } from "commander";
import { version } from "../node/version.js";
import { events } from "./commands/events.js";
import { failovers } from "./commands/failovers.js";
import type { ListFilters } from "./commands/filters.js";
import { handles, locks } from "./commands/handles.js";
import { members } from "./commands/members.js";
import { nodes } from "./commands/nodes.js";
import { sessions } from "./commands/sessions.js";
import { cordon, moveLeader } from "./commands/schedule.js";
import { status } from "./commands/status.js";
import { makeContext, usageError, type CliContext, type GlobalOptions } from "./context.js";

const EXIT_TABLE = `
Exit codes: 0 ok, 1 failure, 2 usage, 3 degraded, 4 unavailable or no quorum, 5 precondition (the world has moved),
6 already so, 7 outcome unknown, 124 timed out.`;

type Done = (exitCode: number) => void;

/** The whole command line. `done` receives the exit code of the command that ran. */
export function buildProgram(done: Done): Command {
  const program = new Command("holdfast")
    .description(
      "Clustered failover coordinator: file handles, locks and leases that outlive the server that granted them.",
    )
    .version(version)
    .option("--endpoints <list>", "nodes to ask, host:port,host:port (or HOLDFAST_ENDPOINTS)")
    .option("-o, --output <format>", "table, wide, json or yaml", "table")
    .option("--timeout <duration>", "longest wait, such as 500ms or 10s", "10s")
    .option("--stale", "answer from the asked node's own state, without a quorum")
    .addHelpText("after", EXIT_TABLE)
    .exitOverride()
    .showHelpAfterError("Next: holdfast --help");
  addLists(program, done);
  addChanges(program, done);
  return program;
}

/** Wraps a command: context from the global options, exit code to `done`. */
export function action<Args extends unknown[]>(
  done: Done,
  run: (context: CliContext, ...args: Args) => Promise<number>,
): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    const context = makeContext(command.optsWithGlobals<GlobalOptions>());
    done(await run(context, ...(args.slice(0, -1) as Args)));
  };
}

function addLists(program: Command, done: Done): void {
  program
    .command("status")
    .description("every node with its role, health and progress; the exit code is the verdict")
    .action(action(done, status));
  const list = (name: string, text: string, run: (c: CliContext, f: ListFilters) => Promise<number>) =>
    program
      .command(name)
      .description(text)
      .addOption(new Option("--node <name>", "only what this node owns"))
      .action(action<[ListFilters]>(done, (context, filters) => run(context, checked(filters))));
  list("nodes", "file nodes: status, sessions, handles", nodes);
  list("sessions", "sessions: owner, epoch, state", sessions).option("--session <id>", "only this one");
  list("handles", "open handles: file, owner, state", handles)
    .option("--session <id>", "only of this session")
    .option("--share <name>", "only in this share")
    .option("--path <path>", "only of this file")
    .option("--all", "closed ones that are still answerable, too");
  list("locks", "byte-range locks", locks)
    .option("--session <id>", "only of this session")
    .option("--share <name>", "only in this share")
    .option("--path <path>", "only on this file");
  program
    .command("members")
    .description("the consensus group")
    .action(action(done, (context) => members(context)));
  const record = program
    .command("failovers")
    .description("what failovers and transfers there were, with their phases");
  record
    .command("list", { isDefault: true })
    .description("all that are kept")
    .action(action(done, (context) => failovers(context)));
  record
    .command("show <id>")
    .description("one of them")
    .action(action<[string]>(done, (context, id) => failovers(context, id)));
  program
    .command("events")
    .description("what happened, in the order of revisions")
    .option("--since <revision>", "from this revision on")
    .option("-f, --follow", "stay and show what comes")
    .option("--kind <kinds>", "only these kinds, comma between them")
    .option("--limit <n>", "at most so many", "1000")
    .action(
      action<[{ since?: string; follow?: boolean; kind?: string; limit: string }]>(done, (context, options) =>
        events(context, {
          ...(options.since === undefined ? {} : { since: count(options.since, "--since") }),
          follow: options.follow ?? false,
          kinds: options.kind?.split(",").filter((each) => each !== "") ?? [],
          limit: count(options.limit, "--limit"),
        }),
      ),
    );
}

function addChanges(program: Command, done: Done): void {
  const reason = () => new Option("--reason <text>", "why, for the record").default("");
  program
    .command("cordon <node>")
    .description("give a node no new sessions")
    .addOption(reason())
    .action(
      action<[string, { reason: string }]>(done, (context, node, o) => cordon(context, node, true, o.reason)),
    );
  program
    .command("uncordon <node>")
    .description("let a node have new sessions again")
    .addOption(reason())
    .action(
      action<[string, { reason: string }]>(done, (context, node, o) =>
        cordon(context, node, false, o.reason),
      ),
    );
  const leader = program.command("leader").description("leadership of the consensus group");
  leader
    .command("move")
    .description("hand leadership over")
    .option("--to <member>", "to this one; default: the best caught up", "")
    .addOption(reason())
    .action(
      action<[{ to: string; reason: string }]>(done, (context, o) => moveLeader(context, o.to, o.reason)),
    );
}

function count(text: string, flag: string): number {
  if (!/^\d{1,15}$/.test(text)) throw usageError(`${flag} ${text} is no number`, `write ${flag} 100`);
  return Number(text);
}

function checked(filters: ListFilters): ListFilters {
  if (filters.session !== undefined) count(filters.session, "--session");
  return filters;
}
