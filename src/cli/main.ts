import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { CommanderError } from "commander";
import { HoldfastError } from "../wire/errors.js";
import { EXIT, exitCodeOf } from "./exit-codes.js";
import { printable } from "./format.js";
import { buildProgram } from "./program.js";

/** Runs one command line; answers the exit code. Errors are one line on stderr that ends with the next step. */
export async function run(argv: readonly string[]): Promise<number> {
  let code: number = EXIT.ok;
  const program = buildProgram((result) => {
    code = result;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const error = HoldfastError.from(thrown);
    const next = error.extras.next;
    const line = `${error.codeName}: ${error.message}${next === undefined ? "" : `. Next: ${next}`}`;
    process.stderr.write(`holdfast: ${printable(line)}\n`);
    if (process.env["HOLDFAST_DEBUG"] !== undefined) process.stderr.write(`${error.stack ?? ""}\n`);
    return exitCodeOf(error);
  }
}

// What grpc-js writes to stderr on its own comes back as an error, in our words.
setLogVerbosity(logVerbosity.NONE);

// A reader that went away (`holdfast events | head`) is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT.ok);
});

process.exitCode = await run(process.argv.slice(2));
