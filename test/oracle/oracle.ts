import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ConfChangeDriver } from "./confchange-driver.js";
import { parseFile, type TestCase } from "./datadriven.js";
import { DIVERGENCES, type Divergence } from "./divergences.js";
import { InteractionDriver } from "./interaction-driver.js";
import { runQuorumCase } from "./quorum-driver.js";

/** A case whose output is not the expected one. */
export interface Failure {
  readonly line: number;
  readonly command: string;
  readonly expected: string;
  readonly actual: string;
}

/** What running one file has shown. */
export interface FileReport {
  /** Folder and file. */
  readonly file: string;
  readonly passed: number;
  /** Differences that are listed with a reason. */
  readonly diverged: number;
  readonly failures: readonly Failure[];
}

/** What running a folder of test files has shown. */
export interface OracleReport {
  readonly files: readonly FileReport[];
  readonly passed: number;
  readonly diverged: number;
  readonly failed: number;
  /** Listed divergences that did not occur. */
  readonly stale: readonly Divergence[];
}

type RunCase = (test: TestCase) => string;

/** The commands of each kind of file, by the folder that etcd keeps it in. */
const DRIVERS: Record<string, () => RunCase> = {
  interaction: () => {
    const driver = new InteractionDriver();
    return (test) => driver.run(test);
  },
  confchange: () => {
    const driver = new ConfChangeDriver();
    return (test) => driver.run(test);
  },
  quorum: () => runQuorumCase,
};

const LOGGER_LINE = /^\s*(DEBUG|INFO|WARN|ERROR|FATAL) /;

/** Drops what loggers wrote; an output of nothing else counts as `ok`. Everything else is compared to the letter. */
export function withoutLogger(text: string): string {
  const lines = text.split("\n").filter((line) => !LOGGER_LINE.test(line));
  const rest = lines.join("\n").replace(/\n+$/, "");
  return rest === "" || rest === "ok" ? "ok" : rest;
}

/** Runs one file. After a broken promise of the core the rest of the file cannot run, and counts as failed. */
export function runFile(kind: string, text: string): { passed: TestCase[]; failures: Failure[] } {
  const make = DRIVERS[kind];
  if (make === undefined)
    throw new RangeError(
      `no driver for files of the kind ${kind}; known: ${Object.keys(DRIVERS).join(", ")}`,
    );
  const run = make();
  const passed: TestCase[] = [];
  const failures: Failure[] = [];
  let stopped: string | null = null;
  for (const test of parseFile(text)) {
    let actual: string;
    try {
      actual = stopped ?? run(test);
    } catch (error) {
      actual = `${(error as Error).name}: ${(error as Error).message}`;
      stopped = `not run after ${actual}`;
    }
    if (withoutLogger(actual) === withoutLogger(test.expected)) passed.push(test);
    else failures.push({ line: test.line, command: test.command, expected: test.expected, actual });
  }
  return { passed, failures };
}

/** Runs all files under `dir`, which holds the folders interaction, confchange and quorum, or some of them. */
export function runOracle(dir: string, divergences: readonly Divergence[] = DIVERGENCES): OracleReport {
  const files: FileReport[] = [];
  const seen = new Set<Divergence>();
  for (const kind of Object.keys(DRIVERS)) {
    const folder = join(dir, kind);
    if (!existsSync(folder) || !statSync(folder).isDirectory()) continue;
    const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));
    for (const name of names.sort()) {
      const file = `${kind}/${name}`;
      const { passed, failures } = runFile(kind, readFileSync(join(folder, name), "utf8"));
      const listed = (failure: Failure): boolean => {
        const entry = divergences.find((d) => d.file === file && d.line === failure.line);
        if (entry !== undefined) seen.add(entry);
        return entry !== undefined;
      };
      const unlisted = failures.filter((failure) => !listed(failure));
      files.push({
        file,
        passed: passed.length,
        diverged: failures.length - unlisted.length,
        failures: unlisted,
      });
    }
  }
  return {
    files,
    passed: files.reduce((sum, f) => sum + f.passed, 0),
    diverged: files.reduce((sum, f) => sum + f.diverged, 0),
    failed: files.reduce((sum, f) => sum + f.failures.length, 0),
    // Entries for files that are not there say nothing: another folder may be under test.
    stale: divergences.filter((d) => files.some((f) => f.file === d.file) && !seen.has(d)),
  };
}

/** Two texts as a list of lines, `-` expected and `+` actual, without what they have in common at either end. */
export function describeDifference(expected: string, actual: string): string {
  const left = withoutLogger(expected).split("\n");
  const right = withoutLogger(actual).split("\n");
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start++;
  let end = 0;
  while (end < left.length - start && end < right.length - start && left.at(-1 - end) === right.at(-1 - end))
    end++;
  const lines: string[] = [];
  if (start > 0) lines.push(`    ${left[start - 1]}`);
  for (const line of left.slice(start, left.length - end)) lines.push(`  - ${line}`);
  for (const line of right.slice(start, right.length - end)) lines.push(`  + ${line}`);
  return lines.join("\n");
}
