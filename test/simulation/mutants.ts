import * as raft from "../../src/raft/mutants.js";
import { coreWorld, type World } from "./worlds.js";

/** A planted bug, from whatever part of the product. */
export interface Mutant {
  readonly name: string;
  /** Lesson of raft.md 1.4, or the rule that it breaks. */
  readonly lesson: string;
  readonly description: string;
  /** The worlds in which it can be seen, cheapest first. */
  readonly worlds: readonly World[];
  plant(on: boolean): void;
}

/** What became of one. `killer` is null when it survived. */
export interface Killed {
  readonly name: string;
  readonly lesson: string;
  readonly description: string;
  readonly killer: string | null;
  readonly message: string;
  readonly world: string;
  readonly seed: number;
  readonly seedsTried: number;
  readonly seconds: number;
}

/** Everything that can be planted. */
export function allMutants(): Mutant[] {
  return raft.MUTANTS.map(({ name, lesson, description }) => ({
    name,
    lesson,
    description,
    worlds: [coreWorld],
    plant: (on: boolean) => raft.setMutant(name, on),
  }));
}

/** Runs seeds with one bug planted until a checker objects or the time is over. The bug is removed afterwards. */
export async function tryMutant(
  mutant: Mutant,
  secondsMax: number,
  begins: (world: string, seed: number) => void = () => undefined,
): Promise<Killed> {
  const begun = Date.now();
  const seconds = (): number => (Date.now() - begun) / 1000;
  const row = { name: mutant.name, lesson: mutant.lesson, description: mutant.description };
  let seedsTried = 0;
  mutant.plant(true);
  try {
    for (let seed = 1; seconds() < secondsMax; seed++) {
      for (const world of mutant.worlds) {
        seedsTried++;
        begins(world.name, seed);
        const { failure } = await world.run(seed);
        if (failure === null) continue;
        const { checker: killer, message } = failure;
        return { ...row, killer, message, world: world.name, seed, seedsTried, seconds: seconds() };
      }
    }
  } finally {
    mutant.plant(false);
  }
  return { ...row, killer: null, message: "", world: "", seed: 0, seedsTried, seconds: seconds() };
}
