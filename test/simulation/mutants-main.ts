/**
 * `make mutants`: plants one known bug after the other and runs seeds until the simulator notices. Environment:
 * MUTANT=name tries one, or several with commas between; PART=k/n tries every n-th starting with the k-th, for a CI that rotates; SECONDS_EACH bounds the
 * processor time for one (default 300); JSON=file leaves the table. Exits 1 when one survives.
 */
import { writeFileSync } from "node:fs";
import { tryInProcess } from "./mutant-process.js";
import { allMutants, type Killed } from "./mutants.js";

function part(): { readonly k: number; readonly n: number } {
  const [k, n] = (process.env.PART ?? "0/1").split("/").map(Number);
  return { k: k ?? 0, n: n ?? 1 };
}

const secondsEach = Number(process.env.SECONDS_EACH ?? 300);
const names = (process.env.MUTANT ?? "").split(",").filter((name) => name !== "");
const { k, n } = part();
const chosen = allMutants().filter(({ name }, position) =>
  names.length > 0 ? names.includes(name) : position % n === k % n,
);
if (chosen.length === 0) throw new RangeError(`no mutant named ${process.env.MUTANT}`);

const table: Killed[] = [];
for (const mutant of chosen) {
  const result = await tryInProcess(mutant, secondsEach);
  table.push(result);
  const verdict =
    result.killer === null ? "SURVIVED" : `killed by ${result.killer}, ${result.world} seed ${result.seed}`;
  console.log(
    `${mutant.name.padEnd(28)} ${mutant.lesson.padEnd(6)} ${verdict} (${result.seconds.toFixed(1)} s)`,
  );
}
const survivors = table.filter(({ killer }) => killer === null);
console.log(
  `\n${table.length} mutants, ${table.length - survivors.length} killed, ${survivors.length} survived`,
);
if (process.env.JSON) writeFileSync(process.env.JSON, `${JSON.stringify(table, null, 2)}\n`);
process.exitCode = survivors.length === 0 ? 0 : 1;
