import type { Command } from "commander";
import { events } from "../commands/events.js";
import { explain } from "../commands/explain.js";
import { failovers } from "../commands/failovers.js";
import { action, atLeastOne, count, type Done } from "./action.js";

/** `failovers`: the records. */
export function addFailovers(program: Command, done: Done): void {
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
}

/** `events`. */
export function addEvents(program: Command, done: Done): void {
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

/** `explain`. */
export function addExplain(program: Command, done: Done): void {
  program
    .command("explain <what> [id]")
    .description(
      "why a session, handle or node (by id), or the leader, is where it is; or what an error code means",
    )
    .action(action<[string, string | undefined]>(done, explain));
}
