import type { Command } from "commander";
import { addMember, demoteMember, promoteMember, removeMember } from "../commands/change-members.js";
import { members } from "../commands/members.js";
import { action, count, type Done } from "./action.js";

/** `members` and how the group is changed. */
export function addMembers(program: Command, done: Done): void {
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
}
