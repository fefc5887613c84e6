import type { Command } from "commander";
import { useTls } from "../admin-client.js";
import { makeContext, usageError, type CliContext, type GlobalOptions } from "../context.js";

/** Hears the exit code of the command that ran. */
export type Done = (exitCode: number) => void;

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

/** A flag's number. `example`: what the error proposes. */
export function count(text: string, flag: string, example = 100): number {
  if (!/^\d{1,15}$/.test(text)) throw usageError(`${flag} ${text} is no number`, `write ${flag} ${example}`);
  return Number(text);
}

/** The same, of a flag that asks for so many of something. */
export function atLeastOne(text: string, flag: string): number {
  const number = count(text, flag);
  if (number === 0) throw usageError(`${flag} 0 asks for nothing`, `write ${flag} 100`);
  return number;
}
