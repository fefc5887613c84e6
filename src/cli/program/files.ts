import type { Command } from "commander";
import { cat, get, ls, mkdir, move, put, remove, stat } from "../commands/files.js";
import { action, type Done } from "./action.js";

/** `files` and what it does with them. */
export function addFiles(program: Command, done: Done): void {
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
