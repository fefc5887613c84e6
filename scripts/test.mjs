// What `make test` runs after build and lint: unit tests, integration tests with real processes, a few planted bugs, and
// chaos on hosts of their own. The last line is "N passed, N failed" and nothing else; the exit code says the same.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const mocha = join(root, "node_modules", "mocha", "bin", "mocha.js");
const reports = mkdtempSync(join(tmpdir(), "holdfast-test-"));

/**
 * One run of mocha in a process of its own. Two side by side would mix their lines, so what they print is shown whole once
 * they have ended; a run that has the terminal to itself is `live`. A run that dies without a report counts as one failure.
 * `lane`: which ports are its own, see `freePorts` of the integration tests.
 */
async function run(name, args, { live = false, lane = 0 } = {}) {
  if (live) process.stdout.write(`\n== ${name}\n`);
  const report = join(reports, `${name}.json`);
  const began = Date.now();
  const { status, signal, output } = await finished(
    [
      mocha,
      "--config",
      join(root, "scripts", "mocharc.test.json"),
      "--reporter",
      join(root, "scripts", "test-reporter.mjs"),
      ...args,
    ],
    { ...process.env, HOLDFAST_TEST_REPORT: report, HOLDFAST_TEST_LANE: String(lane) },
    live,
  );
  const counted = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : null;
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  if (!live) process.stdout.write(`\n== ${name}\n${output}`);
  if (counted === null) {
    const how = `died without a report (${signal ?? `exit code ${status}`}) after ${seconds} s`;
    process.stdout.write(`${name} ${how}\n`);
    return { passed: 0, failed: [`${name} ${how}`] };
  }
  process.stdout.write(`${name}: ${counted.passes} passed, ${counted.failures} failed in ${seconds} s\n`);
  if (counted.slowest.length > 1)
    process.stdout.write(
      `slowest: ${counted.slowest.map(([file, ms]) => `${file} ${(ms / 1000).toFixed(1)} s`).join(", ")}\n`,
    );
  const failed = counted.failed.map((title) => `${name}: ${title}`);
  // Green tests in a process that ended badly are not green: something broke after the last of them.
  if (status !== 0 && counted.failures === 0)
    failed.push(`${name} ended by ${signal ?? `exit code ${status}`} after its last test`);
  return { passed: counted.passes, failed };
}

/** Runs node with `args`; resolves with how it ended and, unless that went to the terminal at once, all that it printed. */
function finished(args, env, live) {
  return new Promise((resolve, reject) => {
    const output = live ? "inherit" : "pipe";
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", output, output], env });
    const parts = [];
    child.stdout?.on("data", (part) => parts.push(part));
    child.stderr?.on("data", (part) => parts.push(part));
    child.once("error", reject);
    child.once("close", (status, signal) =>
      resolve({ status, signal, output: Buffer.concat(parts).toString() }),
    );
  });
}

/** A program that says by its exit code whether its claims hold: counts as one test. */
function program(name, script, env) {
  process.stdout.write(`\n== ${name}\n`);
  const result = spawnSync(process.execPath, [join(root, "dist", "test", script)], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (result.status === 0) return { passed: 1, failed: [] };
  return { passed: 0, failed: [`${name}: ${result.signal ?? `exit code ${result.status}`}`] };
}

/** Hosts of their own need root and iproute2. Without, this part is left out, and loudly. */
function chaos() {
  const able = process.getuid?.() === 0 && spawnSync("ip", ["-V"], { stdio: "ignore" }).status === 0;
  if (able) return program("chaos", "chaos/main.js", { SECONDS_MAX: "180" });
  process.stdout.write("\n== chaos: SKIPPED, it needs root and iproute2 for network namespaces\n");
  return { passed: 0, failed: [] };
}

/** A few planted bugs, others each day: those that a quiet machine kills within seconds. */
function mutants() {
  const day = Math.floor(Date.now() / 86_400_000);
  return program("mutants", "simulation/mutants-main.js", {
    MUTANT: Array.from({ length: 11 }, (_, i) => QUICK_MUTANTS[(day * 11 + i) % QUICK_MUTANTS.length]).join(
      ",",
    ),
  });
}

const QUICK_MUTANTS = [
  ...[
    "replyNotStored",
    "requestMismatchIgnored",
    "replayExecutesAgain",
    "replayAfterUse",
    "tombstoneForgotten",
  ],
  ...["lockBucketNotStored", "lockOverlapOffByOne", "disconnectedUnprotected", "stealConnected"],
  ...["commitPriorTerm", "quorumOffByOne", "jointCommitOneHalf", "learnersVoteInQuorum", "nextBelowMatch"],
  ...["truncateAtPrev", "ackBeforeDurable", "voteBeforeDurable", "voteRequestBeforeDurable", "voteTwice"],
  ...["selfCountBeforeDurable", "applyBeforeDurable", "voteForgottenAtRestart", "voteWithoutLogCheck"],
  ...["preVoteIgnoresLease", "preCandidateKeepsLeader", "staleTermAccepted", "readWithoutOwnTerm"],
  ...["readPositionReused", "transferFlagKept", "transferNoDeadline", "confChangeOverlap", "jointSkipped"],
  ...["autoLeaveLost", "heartbeatCommitUnclamped", "staleSnapshotInstalled", "snapshotNotWaited"],
  ...[
    "logTailUnpinned",
    "windowLeak",
    "fullWindowSilence",
    "rendezvousByMember",
    "outcomeLost",
    "appendAgain",
  ],
];

const PATIENT = ["--timeout", "120000"];
const fileOf = (name) => join("dist", "test", "integration", `${name}.test.js`);
/** These compare times that a client and its cluster have measured: by themselves, on a machine that does nothing else. */
const MEASURING = ["flight-recorder"];
/** These make file systems in loop devices: one after the other. */
const DISKS = ["disk-fails", "disk-full", "hung-share"];
const LONGEST = ["lifecycle", "failover"];
const CRASHES = "dist/test/filenode/crash/*.test.js";
const SIMULATIONS = ["dist/test/simulation/*.test.js", "dist/test/explore/*.test.js"];
const ELSEWHERE = ["dist/test/integration/**", CRASHES, ...SIMULATIONS].flatMap((spec) => ["--ignore", spec]);

/**
 * All tests under mocha but the measuring ones, as jobs for two lanes: name, and what mocha is given. Integration tests, a
 * job a file, start clusters and wait for them; the others compute: two at a time fill two cores. The longest first, so
 * that both lanes end at about the same time.
 */
function jobs() {
  const integration = readdirSync(join(root, "dist", "test", "integration"))
    .filter((file) => file.endsWith(".test.js"))
    .map((file) => file.slice(0, -".test.js".length))
    .filter((name) => ![...MEASURING, ...DISKS, ...LONGEST].includes(name));
  const files = (name, specs = [name]) => [`integration ${name}`, [...specs.map(fileOf), ...PATIENT]];
  return [
    ["simulations", SIMULATIONS],
    ...LONGEST.map((name) => files(name)),
    ["unit", ["dist/test/**/*.test.js", ...ELSEWHERE]],
    ["crash windows", [CRASHES]],
    files("disks", DISKS),
    ...integration.map((name) => files(name)),
  ];
}

/** Each lane takes the next job that nobody has begun. */
async function twoLanes() {
  const waiting = jobs();
  const results = [];
  const lane = async (number) => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift())
      results.push(await run(job[0], job[1], { lane: number }));
  };
  await Promise.all([lane(0), lane(1)]);
  return results;
}

process.stdout.write("\n== unit, simulations, crash windows and integration, two at a time\n");
const began = Date.now();
const runs = await twoLanes();
process.stdout.write(`\nall of these: ${((Date.now() - began) / 1000).toFixed(1)} s\n`);
runs.push(await run("integration measuring", [...MEASURING.map(fileOf), ...PATIENT], { live: true }));
runs.push(mutants(), chaos());
rmSync(reports, { recursive: true, force: true });
const passed = runs.reduce((sum, each) => sum + each.passed, 0);
const failed = runs.flatMap((each) => each.failed);
// Said again at the end, because the end is what is kept of a long log.
for (const each of failed) process.stdout.write(`FAILED ${each}\n`);
process.stdout.write(`\n${passed} passed, ${failed.length} failed\n`);
// No tests at all is no success either.
process.exitCode = failed.length > 0 || passed === 0 ? 1 : 0;
