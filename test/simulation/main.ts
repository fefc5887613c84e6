/**
 * `make sim`. Environment: SEED=n runs one seed, twice, and compares the traces; TRACE=1 prints every event of it.
 * SEEDS=n runs seeds 1..n, SEEDS=a-b that range; SECONDS_MAX=n goes on until then. WORLD=core|cluster|scenes restricts it to one
 * world. JSON=file leaves the figures. What a run other than a range has not reached of the listed situations is looked
 * for with the seeds that are known for it. Exits 1 when a checker objects, a trace is not the same twice, or a listed
 * situation was never reached.
 */
import { writeFileSync } from "node:fs";
import { Campaign, printFailure } from "./campaign.js";
import { WORLDS, type World } from "./worlds.js";

const FAILURES_MAX = 10;
/** One seed in this many is run twice. */
const REPEAT_EVERY = 20;
const SECONDS_DEFAULT = 60;

interface Wish {
  readonly worlds: readonly World[];
  readonly first: number;
  readonly last: number;
  readonly secondsMax: number;
  readonly range: boolean;
}

function wishes(): Wish {
  const env = process.env;
  const worlds = WORLDS.filter(({ name }) => !env.WORLD || env.WORLD === name);
  if (worlds.length === 0) {
    throw new RangeError(`WORLD is ${env.WORLD}; there are ${WORLDS.map(({ name }) => name).join(" and ")}`);
  }
  const [a, b] = (env.SEEDS ?? "").split("-");
  const range = b !== undefined;
  const first = range ? whole("SEEDS", a as string) : 1;
  const last = range ? whole("SEEDS", b) : a ? whole("SEEDS", a) : Number.MAX_SAFE_INTEGER;
  const secondsMax = env.SECONDS_MAX
    ? whole("SECONDS_MAX", env.SECONDS_MAX)
    : last === Number.MAX_SAFE_INTEGER
      ? SECONDS_DEFAULT
      : Number.MAX_SAFE_INTEGER;
  return { worlds, first, last, secondsMax, range };
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${name} is ${text}; it must be a whole number`);
  return value;
}

async function replay(seed: number, worlds: readonly World[]): Promise<boolean> {
  let good = true;
  for (const world of worlds) {
    const sink = process.env.TRACE ? (line: string) => console.log(line) : null;
    const report = await world.run(seed, sink);
    const again = await world.run(seed);
    console.log(
      `${world.name} seed ${seed}: trace ${report.traceHash}, again ${again.traceHash}; ` +
        `${(report.virtualUs / 1e6).toFixed(1)} s virtual, ${report.events} events, ` +
        `${report.acknowledgedWrites} writes and ${report.answeredReads} reads answered`,
    );
    printFailure(report);
    if (report.failure !== null && process.env.TRACE) console.log(report.failure.stack);
    if (report.traceHash !== again.traceHash) console.log("FAILED  the two runs differ");
    good &&= report.failure === null && report.traceHash === again.traceHash;
  }
  return good;
}

async function explore(wish: Wish): Promise<boolean> {
  const campaigns = wish.worlds.map((world) => new Campaign(world));
  const begun = Date.now();
  let lastNote = begun;
  const seconds = (): number => (Date.now() - begun) / 1000;
  const failures = (): number => campaigns.reduce((sum, campaign) => sum + campaign.failures.length, 0);
  for (let seed = wish.first; seed <= wish.last && seconds() < wish.secondsMax; seed++) {
    for (const campaign of campaigns) {
      const before = campaign.failures.length;
      await campaign.run(seed, seed % REPEAT_EVERY === 0);
      for (const report of campaign.failures.slice(before)) printFailure(report);
    }
    if (failures() >= FAILURES_MAX) break;
    if (Date.now() - lastNote > 10_000) {
      lastNote = Date.now();
      console.log(`... seed ${seed}, ${Math.round(seconds())} s, ${failures()} failures`);
    }
  }
  // A range that somebody asked for is that range and nothing else.
  if (failures() < FAILURES_MAX && !wish.range)
    for (const campaign of campaigns) {
      const before = campaign.failures.length;
      await campaign.reachSituations();
      for (const report of campaign.failures.slice(before)) printFailure(report);
    }
  for (const campaign of campaigns) summarize(campaign);
  console.log(`\n${seconds().toFixed(0)} s of real time; ${failures()} failures`);
  leave({
    seconds: seconds(),
    firstSeed: wish.first,
    worlds: campaigns.map((campaign) => campaign.figures()),
  });
  return campaigns.every(
    (campaign) => campaign.failures.length === 0 && campaign.missingSituations().length === 0,
  );
}

function summarize(campaign: Campaign): void {
  const lines = (map: ReadonlyMap<string, number>): string =>
    [...map]
      .sort(([x], [y]) => (x < y ? -1 : 1))
      .map(([name, count]) => `  ${String(count).padStart(10)}  ${name}`)
      .join("\n");
  console.log(
    `\n${campaign.world.name}: ${campaign.seeds} seeds (${campaign.repeated} run twice), ` +
      `${Math.round(campaign.virtualUs / 1e6)} s of virtual time, ${campaign.events} events, ` +
      `${campaign.acknowledgedWrites} writes and ${campaign.answeredReads} reads answered, ` +
      `${campaign.linearizable} histories linearizable, ${campaign.gaveUp} undecided`,
  );
  console.log(`faults injected\n${lines(campaign.tally.faults)}`);
  console.log(`situations reached\n${lines(campaign.tally.situations)}`);
  const missing = campaign.missingSituations();
  if (missing.length > 0) console.log(`FAILED  situations never reached: ${missing.join("; ")}`);
}

function leave(figures: object): void {
  if (process.env.JSON) writeFileSync(process.env.JSON, `${JSON.stringify(figures, null, 2)}\n`);
}

const wish = wishes();
const good = process.env.SEED
  ? await replay(whole("SEED", process.env.SEED), wish.worlds)
  : await explore(wish);
process.exitCode = good ? 0 : 1;
