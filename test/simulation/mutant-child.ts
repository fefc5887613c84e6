/** One planted bug in a process of its own: MUTANT and SECONDS_EACH by environment, one line of JSON a seed, then the result. */
import { allMutants, tryMutant } from "./mutants.js";

const mutant = allMutants().find(({ name }) => name === process.env.MUTANT);
if (mutant === undefined) throw new RangeError(`no mutant named ${process.env.MUTANT}`);
const result = await tryMutant(mutant, Number(process.env.SECONDS_EACH), (world, seed) => {
  process.stdout.write(`${JSON.stringify({ world, seed })}\n`);
});
process.stdout.write(`${JSON.stringify({ result })}\n`);
