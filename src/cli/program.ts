import { Command, Option } from "commander";
import { version } from "../node/version.js";
import { useTls } from "./admin-client.js";
import { demo } from "./commands/demo.js";
import { events } from "./commands/events.js";
import { failovers } from "./commands/failovers.js";
import { checkFailover, type CheckOptions } from "./commands/check.js";
import { explain } from "./commands/explain.js";
import type { ListFilters } from "./commands/filters.js";
import { cat, get, ls, mkdir, move, put, remove, stat } from "./commands/files.js";
import { closeHandle } from "./commands/close-handle.js";
import { handles, locks } from "./commands/handles.js";
import { addMember, demoteMember, promoteMember, removeMember } from "./commands/change-members.js";
import { members } from "./commands/members.js";
import { nodes } from "./commands/nodes.js";
import { findOperation, listOps, showOperation, waitForOperation } from "./commands/operations.js";
import { sessions } from "./commands/sessions.js";
import { cordon, moveLeader } from "./commands/schedule.js";
import { status } from "./commands/status.js";
import { cancelOperation, transfer, type TransferOptions } from "./commands/transfer.js";
import { up } from "./commands/up.js";
import { printable } from "./format.js";
import { makeContext, usageError, type CliContext, type GlobalOptions } from "./context.js";

const EXIT_TABLE = `
Exit codes: 0 ok, 1 failure, 2 usage, 3 degraded, 4 unavailable or no quorum, 5 precondition (the world has moved),
6 already so, 7 outcome unknown, 124 timed out.`;

const NODE_EXIT_TABLE = `
Exit codes of a node: 0 stopped in order, 1 failed, 2 wrong flag or configuration, 66 data folder damaged or of another
node, 67 data folder in use, 69 address in use, 70 broken invariant, 73 data folder not writable, 74 disk failed.`;

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
  addExplain(program, done);
  addCheck(program, done);
  addFiles(program, done);
  addChanges(program, done);
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

/** Wraps a command: context from the global options, exit code to `done`. */
export function action<Args extends unknown[]>(
  done: Done,
  run: (context: CliContext, ...args: Args) => Promise<number>,
): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    const context = makeContext(command.optsWithGlobals<GlobalOptions>());
    useTls(context.tls);
    done(await run(context, ...(args.slice(0, -1) as Args)));
  };
}

function addProcesses(program: Command, done: Done): void {
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
      const { runNode } = await import("../node/main.js");
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

function addFiles(program: Command, done: Done): void {
  const files = program.command("files").description("files of a share, named share:/path");
  files
    .command("ls [folder]")
    .description("a folder's entries, or the shares")
    .action(action<[string | undefined]>(done, ls));
  files
    .command("put <local> <target>")
    .description("copy a local file (or - for stdin) into a share")
    .action(action<[string, string]>(done, put));
  files
    .command("get <source> [local]")
    .description("copy a file out of a share")
    .action(
      action<[string, string | undefined]>(done, (context, source, local) =>
        get(context, source, local ?? "."),
      ),
    );
  files.command("cat <file>").description("print a file").action(action<[string]>(done, cat));
  files.command("stat <file>").description("what stands at a path").action(action<[string]>(done, stat));
  files
    .command("rm <file>")
    .description("remove a file")
    .option("-d, --directory", "an empty directory")
    .action(
      action<[string, { directory?: boolean }]>(done, (context, file, o) =>
        remove(context, file, o.directory ?? false),
      ),
    );
  files
    .command("mv <from> <to>")
    .description("rename within a share")
    .option("--replace", "over what stands at the target")
    .action(
      action<[string, string, { replace?: boolean }]>(done, (context, a, b, o) =>
        move(context, a, b, o.replace ?? false),
      ),
    );
  files.command("mkdir <folder>").description("make a directory").action(action<[string]>(done, mkdir));
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
    .option("--all", "closed ones that are still answerable, too")
    .command("close <handle>")
    .description("close one in the name of an operator, by its id or the first digits of it")
    .option("--reason <text>", "for the record and the client", "")
    .action(
      action<[string, { reason: string }]>(done, (context, handle, o) =>
        closeHandle(context, handle, o.reason),
      ),
    );
  list("locks", "byte-range locks", locks)
    .option("--session <id>", "only of this session")
    .option("--share <name>", "only in this share")
    .option("--path <path>", "only on this file");
  const group = program
    .command("members")
    .description("the consensus group")
    .action(action(done, (context) => members(context)));
  group
    .command("list")
    .description("the same as without a word")
    .action(action(done, (context) => members(context)));
  group
    .command("add <name>")
    .description("a new member, without a vote at first")
    .requiredOption("--id <number>", "its number in the group, never used before")
    .requiredOption("--grpc <address>", "where the others reach it, host:port")
    .option("--http <address>", "its metrics and health, host:port")
    .action(
      action<[string, { id: string; grpc: string; http?: string }]>(done, (context, name, o) =>
        addMember(context, name, { id: count(o.id, "--id"), grpc: o.grpc, http: o.http ?? "" }),
      ),
    );
  group
    .command("promote <name>")
    .description("give it a vote; refused while it lacks much of the log")
    .action(action<[string]>(done, promoteMember));
  group
    .command("demote <name>")
    .description("take its vote away; refused if the rest would have no majority alive")
    .action(action<[string]>(done, demoteMember));
  group
    .command("remove <name>")
    .description("take it out of the group; refused if the rest would have no majority alive")
    .action(action<[string]>(done, removeMember));
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
    .description("what happened, at all nodes, in the order of revisions")
    .option("--since <revision>", "from this revision on")
    .option("-f, --follow", "stay and show what comes")
    .option("--kind <kinds>", "only these kinds, comma between them")
    .option("--all", "every kind, the opens and closes of clients too")
    .option("--limit <n>", "at most so many", "1000")
    .action(
      action<[{ since?: string; follow?: boolean; kind?: string; all?: boolean; limit: string }]>(
        done,
        (context, options) =>
          events(context, {
            ...(options.since === undefined ? {} : { since: count(options.since, "--since") }),
            follow: options.follow ?? false,
            all: options.all ?? false,
            kinds: options.kind?.split(",").filter((each) => each !== "") ?? [],
            limit: atLeastOne(options.limit, "--limit"),
          }),
      ),
    );
}

function addExplain(program: Command, done: Done): void {
  program
    .command("explain <what> [id]")
    .description(
      "why a session, handle or node (by id), or the leader, is where it is; or what an error code means",
    )
    .action(action<[string, string | undefined]>(done, explain));
}

function addCheck(program: Command, done: Done): void {
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

function addChanges(program: Command, done: Done): void {
  const reason = () => new Option("--reason <text>", "why, for the record").default("", "none");
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
  const move = (command: Command) =>
    command
      .option("--to <node>", "to this node; default: the placement rule chooses")
      .option("--dry-run", "only show the plan, what speaks against it, and its hash")
      .option("--apply-plan <hash>", "only if this is still the plan; else exit code 5")
      .option("--force", "past an owner that does not answer; wants --reason")
      .option("--async", "print the operation's id and leave it running")
      .addOption(reason());
  move(
    program
      .command("transfer")
      .description("move sessions to another node, without an error for their clients"),
  )
    .option("--session <id>", "this session")
    .option("--handle <id>", "this handle alone, with its locks; its session's others stay")
    .option("--share <name>", "all sessions with handles in this share")
    .option("--node <name>", "all sessions of this node")
    .option("--expect-owner <node>", "only if this node owns it; else exit code 5")
    .option("--expect-epoch <epoch>", "only at this epoch; else exit code 5")
    .action(action<[TransferOptions]>(done, (context, o) => transfer(context, o)));
  move(
    program.command("drain <node>").description("cordon a node and move everything that it owns away"),
  ).action(
    action<[string, TransferOptions]>(done, (context, node, o) => transfer(context, { ...o, node }, true)),
  );
  const ops = program.command("ops").description("transfers and drains, each an operation with an id");
  ops
    .command("list", { isDefault: true })
    .description("all that are kept")
    .action(action(done, (context) => listOps(context)));
  ops
    .command("show <id>")
    .description("one, session by session")
    .action(
      action<[string]>(done, async (context, id) => showOperation(context, await findOperation(context, id))),
    );
  ops
    .command("wait <id>")
    .description("wait for its end; the exit code is its outcome")
    .action(action<[string]>(done, waitForOperation));
  ops
    .command("cancel <id>")
    .description("leave what is not moved yet")
    .action(action<[string]>(done, cancelOperation));
  const leader = program.command("leader").description("leadership of the consensus group");
  leader
    .command("move")
    .description("hand leadership over")
    .addOption(new Option("--to <member>", "to this one").default("", "the best caught up"))
    .addOption(reason())
    .action(
      action<[{ to: string; reason: string }]>(done, (context, o) => moveLeader(context, o.to, o.reason)),
    );
}

function count(text: string, flag: string, example = 100): number {
  if (!/^\d{1,15}$/.test(text)) throw usageError(`${flag} ${text} is no number`, `write ${flag} ${example}`);
  return Number(text);
}

function atLeastOne(text: string, flag: string): number {
  const number = count(text, flag);
  if (number === 0) throw usageError(`${flag} 0 asks for nothing`, `write ${flag} 100`);
  return number;
}

function checked(filters: ListFilters): ListFilters {
  if (filters.session !== undefined) count(filters.session, "--session");
  return filters;
}
