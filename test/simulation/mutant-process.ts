import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Killed, Mutant } from "./mutants.js";

/** A single seed that takes longer than this, of the processor, turns in circles: no seed of a sound build takes a fifth of it. */
const SILENCE_MAX_SECONDS = 150;
/** Of the times in /proc. */
const TICKS_A_SECOND = 100;

interface Line {
  readonly world?: string;
  readonly seed?: number;
  readonly result?: Killed;
}

/**
 * Tries one planted bug in a process of its own, so that one that makes the core turn in circles is noticed as well: it
 * is killed by the silence of its process.
 */
export function tryInProcess(mutant: Mutant, secondsMax: number): Promise<Killed> {
  const script = fileURLToPath(new URL("./mutant-child.js", import.meta.url));
  const env = { ...process.env, MUTANT: mutant.name, SECONDS_EACH: String(secondsMax) };
  const child = spawn(process.execPath, [script], { env, stdio: ["ignore", "pipe", "inherit"] });
  let rest = "";
  let last: Line = {};
  let seedsTried = 0;
  let heardAt = 0;
  let used = 0;
  let result: Killed | null = null;
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    heardAt = processorSeconds(child.pid) ?? used;
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const parsed = JSON.parse(line) as Line;
      if (parsed.result !== undefined) result = parsed.result;
      else {
        last = parsed;
        seedsTried++;
      }
    }
  });
  const watch = setInterval(() => {
    used = processorSeconds(child.pid) ?? used + 1;
    if (used - heardAt > SILENCE_MAX_SECONDS) child.kill("SIGKILL");
  }, 1000);
  return new Promise((resolve, reject) => {
    child.on("close", (code) => {
      if (code !== 0 && code !== null) {
        reject(new Error(`the process that tried ${mutant.name} ended with code ${code}`));
        return;
      }
      clearInterval(watch);
      const { name, lesson, description } = mutant;
      const silent = used - heardAt > SILENCE_MAX_SECONDS;
      resolve(
        result ?? {
          name,
          lesson,
          description,
          killer: silent ? "never ending seed" : null,
          message: "",
          world: last.world ?? "",
          seed: last.seed ?? 0,
          seedsTried,
          seconds: used,
        },
      );
    });
  });
}

/** What a process has used of the processor so far; null where nobody tells, or when it is gone. */
function processorSeconds(pid: number | undefined): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // User and system time are the 12th and 13th field behind the name, which ends with the last bracket.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
  } catch {
    return null;
  }
}
