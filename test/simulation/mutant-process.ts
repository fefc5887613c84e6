import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Killed, Mutant } from "./mutants.js";

/** A single seed that takes longer than this turns in circles: no seed of a sound build takes a fifth of it on a busy machine. */
const SILENCE_MAX_MS = 150_000;

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
  const begun = Date.now();
  const script = fileURLToPath(new URL("./mutant-child.js", import.meta.url));
  const env = { ...process.env, MUTANT: mutant.name, SECONDS_EACH: String(secondsMax) };
  const child = spawn(process.execPath, [script], { env, stdio: ["ignore", "pipe", "inherit"] });
  let rest = "";
  let last: Line = {};
  let seedsTried = 0;
  let heardAt = Date.now();
  let result: Killed | null = null;
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    heardAt = Date.now();
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
    if (Date.now() - heardAt > SILENCE_MAX_MS) child.kill("SIGKILL");
  }, 1000);
  return new Promise((resolve, reject) => {
    child.on("close", (code) => {
      if (code !== 0 && code !== null) {
        reject(new Error(`the process that tried ${mutant.name} ended with code ${code}`));
        return;
      }
      clearInterval(watch);
      const { name, lesson, description } = mutant;
      const silent = Date.now() - heardAt > SILENCE_MAX_MS;
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
          seconds: (Date.now() - begun) / 1000,
        },
      );
    });
  });
}
