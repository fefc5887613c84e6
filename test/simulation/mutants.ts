import { existsSync } from "node:fs";
import { FILENODE_MUTANTS, setFilenodeMutant } from "../../src/filenode/mutants.js";
import type { MutantInfo } from "../../src/mutants/switches.js";
import * as raft from "../../src/raft/mutants.js";
import { DISK_MUTANTS, setDiskMutant } from "../../src/testing/core-world/index.js";
import { setStorageMutant, STORAGE_MUTANTS } from "../../src/storage/mutants.js";
import * as state from "../../src/state/mutants.js";
import { runOracle } from "../oracle/oracle.js";
import { clusterWorld, coreWorld, damagedWorld, sceneWorld, type World } from "./worlds.js";

/** etcd's files, which see what no safety checker can: who talks, and when. Tried after this many seeds. */
const ORACLE_FOLDER = process.env.DIR || "../shared/oracle/etcd-raft";
const SEEDS_BEFORE_ORACLE = 60;

/** A planted bug, from whatever part of the product. */
export interface Mutant {
  readonly name: string;
  /** Lesson of raft.md 1.4, or the rule that it breaks. */
  readonly lesson: string;
  readonly description: string;
  /** The worlds in which it can be seen, cheapest first. */
  readonly worlds: readonly World[];
  /** Whether etcd's files may see it too. */
  readonly oracle: boolean;
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
  /** Of the processor. */
  readonly seconds: number;
}

/** Everything that can be planted. */
export function allMutants(): Mutant[] {
  const core = { worlds: [coreWorld], oracle: true };
  const product = { worlds: [clusterWorld, sceneWorld], oracle: false };
  return [
    ...listed(raft.MUTANTS, raft.setMutant, core),
    ...listed(DISK_MUTANTS, setDiskMutant, { ...core, oracle: false }),
    ...listed(state.MUTANTS, state.setMutant, product),
    ...listed(STORAGE_MUTANTS, setStorageMutant, { ...product, worlds: [damagedWorld, sceneWorld] }),
    ...listed(FILENODE_MUTANTS, setFilenodeMutant, product),
  ];
}

function listed<Name extends string>(
  list: readonly MutantInfo<Name>[],
  plant: (name: Name, on: boolean) => void,
  seenBy: Pick<Mutant, "worlds" | "oracle">,
): Mutant[] {
  return list.map(({ name, rule, description }) => ({
    name,
    lesson: rule,
    description,
    ...seenBy,
    plant: (on) => plant(name, on),
  }));
}

/**
 * Runs seeds with one bug planted until a checker objects that is content without it, or this much processor time is
 * over. The bug is removed afterwards.
 */
export async function tryMutant(
  mutant: Mutant,
  secondsMax: number,
  begins: (world: string, seed: number) => void = () => undefined,
): Promise<Killed> {
  const begun = process.cpuUsage();
  const seconds = (): number => spent(begun);
  const row = { name: mutant.name, lesson: mutant.lesson, description: mutant.description };
  let seedsTried = 0;
  mutant.plant(true);
  try {
    for (let seed = 1; seconds() < secondsMax; seed++) {
      const differs = seed === SEEDS_BEFORE_ORACLE && mutant.oracle ? oracleDiffers() : null;
      if (differs !== null) {
        return {
          ...row,
          killer: "etcd's files",
          message: differs,
          world: "oracle",
          seed: 0,
          seedsTried,
          seconds: seconds(),
        };
      }
      for (const world of mutant.worlds) {
        seedsTried++;
        begins(world.name, seed);
        const report = await world.run(seed);
        const { failure } = report;
        if (failure === null || (await failsAnyway(mutant, world, seed))) continue;
        const { checker: killer, message } = failure;
        const found = { world: world.name, seed: report.seed, seedsTried, seconds: seconds() };
        return { ...row, killer, message, ...found };
      }
    }
  } finally {
    mutant.plant(false);
  }
  return { ...row, killer: null, message: "", world: "", seed: 0, seedsTried, seconds: seconds() };
}

/** Seconds of the processor since then: what passed on the clock says more about who else was at work. */
function spent(begun: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1e6;
}

/** A seed that fails without the bug too has found another one: it says nothing about this. */
async function failsAnyway(mutant: Mutant, world: World, seed: number): Promise<boolean> {
  mutant.plant(false);
  const { failure } = await world.run(seed);
  mutant.plant(true);
  return failure !== null;
}

/** Which of etcd's files no longer agree; null when all do or none are there. */
function oracleDiffers(): string | null {
  if (!existsSync(ORACLE_FOLDER)) return null;
  try {
    const { files, failed } = runOracle(ORACLE_FOLDER);
    if (failed === 0) return null;
    return files
      .filter(({ failures }) => failures.length > 0)
      .map(({ file }) => file)
      .join(", ");
  } catch (error) {
    return String(error);
  }
}
