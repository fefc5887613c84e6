import { type Command, Option } from "commander";
import { findOperation, listOps, showOperation, waitForOperation } from "../commands/operations.js";
import { cordon, moveLeader } from "../commands/schedule.js";
import { cancelOperation, transfer, type TransferOptions } from "../commands/transfer.js";
import { action, type Done } from "./action.js";

const reason = () => new Option("--reason <text>", "why, for the record").default("", "none");

/** Which nodes get sessions, and who leads. */
export function addSchedule(program: Command, done: Done): void {
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
    .addOption(new Option("--to <member>", "to this one").default("", "the best caught up"))
    .addOption(reason())
    .action(
      action<[{ to: string; reason: string }]>(done, (context, o) => moveLeader(context, o.to, o.reason)),
    );
}

/** `transfer` and `drain`. */
export function addMoves(program: Command, done: Done): void {
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
}

/** `ops`: what became of them. */
export function addOperations(program: Command, done: Done): void {
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
}
