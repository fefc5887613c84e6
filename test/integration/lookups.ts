import { CommanderError } from "commander";
import { exitCodeOf } from "../../src/cli/exit-codes.js";
import { buildProgram } from "../../src/cli/program.js";
import { HoldfastError } from "../../src/wire/errors.js";

/** Every way to name something that does not exist: the command, whose last word that is, the code, and what to run next. */
export const NAMES_NOTHING: readonly (readonly [command: string, code: string, next: string])[] = [
  ["sessions --session 999999", "UNKNOWN_SESSION", "holdfast sessions"],
  ["sessions --session 0", "UNKNOWN_SESSION", "holdfast sessions"],
  ["handles --session 999999", "UNKNOWN_SESSION", "holdfast sessions"],
  ["locks --session 999999", "UNKNOWN_SESSION", "holdfast sessions"],
  ["transfer --session 999999", "UNKNOWN_SESSION", "holdfast sessions"],
  ["transfer --session 0", "UNKNOWN_SESSION", "holdfast sessions"],
  ["explain session 999999", "UNKNOWN_SESSION", "holdfast sessions"],
  ["nodes --node n9", "UNKNOWN_NODE", "holdfast nodes"],
  ["sessions --node n9", "UNKNOWN_NODE", "holdfast nodes"],
  ["handles --node n9", "UNKNOWN_NODE", "holdfast nodes"],
  ["cordon n9", "UNKNOWN_NODE", "holdfast nodes"],
  ["drain n9", "UNKNOWN_NODE", "holdfast nodes"],
  ["transfer --node n9", "UNKNOWN_NODE", "holdfast nodes"],
  ["transfer --node n1 --to n9", "UNKNOWN_NODE", "holdfast nodes"],
  ["explain node n9", "UNKNOWN_NODE", "holdfast nodes"],
  ["handles --share nope", "UNKNOWN_SHARE", "use one of: demo"],
  ["locks --share nope", "UNKNOWN_SHARE", "use one of: demo"],
  ["transfer --share nope", "UNKNOWN_SHARE", "use one of: demo"],
  ["files ls nope:/", "UNKNOWN_SHARE", "use one of: demo"],
  ["handles close ffffffff", "UNKNOWN_HANDLE", "holdfast handles"],
  ["transfer --handle ffffffff", "UNKNOWN_HANDLE", "holdfast handles"],
  ["explain handle ffffffff", "UNKNOWN_HANDLE", "holdfast handles --all"],
  ["failovers show 999999", "UNKNOWN_FAILOVER", "holdfast failovers"],
  ["ops show zzzz", "UNKNOWN_OPERATION", "holdfast ops list"],
  ["ops wait zzzz", "UNKNOWN_OPERATION", "holdfast ops list"],
  ["ops cancel zzzz", "UNKNOWN_OPERATION", "holdfast ops list"],
  ["members promote n9", "UNKNOWN_MEMBER", "holdfast members"],
  ["members remove n9", "UNKNOWN_MEMBER", "holdfast members"],
  ["leader move --to n9", "UNKNOWN_MEMBER", "holdfast members"],
];

/** Words that cannot be what they are given for: wrong usage, exit code 2. */
export const NO_SUCH_WORD: readonly string[] = [
  "sessions --session x",
  "explain session x",
  "explain handle xyz",
  "handles close xyz",
  "transfer --handle xyz",
  "failovers show x",
];

/** How a command fails, without a process of its own: three dozen of those would take longer than the rest of the suite. */
export async function failureOf(endpoints: string, command: string) {
  const words = command.split(" ");
  try {
    await buildProgram(() => undefined).parseAsync(["--endpoints", endpoints, ...words], { from: "user" });
  } catch (thrown) {
    if (thrown instanceof CommanderError) throw new Error(`${command}: ${thrown.message}`);
    const error = HoldfastError.from(thrown);
    const { codeName: code, message, extras } = error;
    return { exit: exitCodeOf(error), code, message, next: extras.next };
  }
  throw new Error(`${command} did not fail`);
}
