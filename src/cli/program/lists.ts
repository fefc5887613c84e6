import { type Command, Option } from "commander";
import { closeHandle } from "../commands/close-handle.js";
import type { ListFilters } from "../commands/filters.js";
import { handles, locks } from "../commands/handles.js";
import { nodes } from "../commands/nodes.js";
import { sessions } from "../commands/sessions.js";
import { status } from "../commands/status.js";
import type { CliContext } from "../context.js";
import { action, type Done } from "./action.js";

/** `status`, and what is at which node. */
export function addLists(program: Command, done: Done): void {
  program
    .command("status")
    .description("every node with its role, health and progress; the exit code is the verdict")
    .action(action(done, status));
  const list = (name: string, text: string, run: (c: CliContext, f: ListFilters) => Promise<number>) =>
    program
      .command(name)
      .description(text)
      .addOption(new Option("--node <name>", "only what this node owns"))
      .action(action<[ListFilters]>(done, (context, filters) => run(context, filters)));
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
}
