// What `make test` runs after build and lint: unit tests and integration tests with real processes, two at a time; then
// chaos on hosts of their own, and beside it what keeps no time: simulations and a few planted bugs. The last line is
// "N passed, N failed" and nothing else; the exit code says the same.
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { setPriority, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const mocha = join(root, "node_modules", "mocha", "bin", "mocha.js");
const reports = mkdtempSync(join(tmpdir(), "holdfast-test-"));

/** Niceness of what computes beside something that keeps time: it gets what the other leaves over. */
const IDLE = 19;
/** The longest run takes five minutes beside others; what is not done by then never will be. */
const RUN_MAX_MS = 12 * 60_000;
/** What was asked to end and has not by then is ended. */
const END_WITHIN_MS = 10_000;
/** Every process that runs. */
const running = new Set();

/** What was said while something else had the terminal to itself; null while nothing has. */
let held = null;

function say(text) {
  if (held === null) process.stdout.write(text);
  else held.push(text);
}

/**
 * One run of mocha in a process of its own. Two side by side would mix their lines, so what they print is shown whole once
 * they have ended. A run that dies without a report counts as one failure. `lane`: which ports are its own, see
 * `freePorts` of the integration tests.
 */
async function run(name, args, { live = false, lane = 0, niceness = 0 } = {}) {
  const report = join(reports, `${name}.json`);
  const config = ["--config", join(root, "scripts", "mocharc.test.json")];
  const reporter = ["--reporter", join(root, "scripts", "test-reporter.mjs")];
  const env = { HOLDFAST_TEST_REPORT: report, HOLDFAST_TEST_LANE: String(lane), TMPDIR: ownTemp(name) };
  const ending = await finished(name, [mocha, ...config, ...reporter, ...args], { env, live, niceness });
  const counted = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : null;
  if (counted === null) {
    const how = `died without a report (${ending.how}) after ${ending.seconds} s`;
    say(`${ending.output}${name} ${how}\n`);
    return { passed: 0, failed: [`${name} ${how}`] };
  }
  say(
    `${ending.output}${name}: ${counted.passes} passed, ${counted.failures} failed in ${ending.seconds} s\n`,
  );
  if (counted.slowest.length > 1)
    say(
      `slowest: ${counted.slowest.map(([file, ms]) => `${file} ${(ms / 1000).toFixed(1)} s`).join(", ")}\n`,
    );
  const failed = counted.failed.map((title) => `${name}: ${title}`);
  // Green tests in a process that ended badly are not green: something broke after the last of them.
  if (!ending.well && counted.failures === 0)
    failed.push(`${name} ended by ${ending.how} after its last test`);
  return { passed: counted.passes, failed };
}

/** A program that says by its exit code whether its claims hold: counts as one test. */
async function program(name, script, { env, live = false, niceness = 0 }) {
  const ending = await finished(name, [join(root, "dist", "test", script)], { env, live, niceness });
  say(`${ending.output}${name}: ${ending.well ? "passed" : "failed"} in ${ending.seconds} s\n`);
  return ending.well ? { passed: 1, failed: [] } : { passed: 0, failed: [`${name}: ${ending.how}`] };
}

/** In place of the system's folder for temporary files: what a test leaves there goes with all the rest. */
function ownTemp(name) {
  const folder = join(reports, name.replaceAll(" ", "-"));
  mkdirSync(folder);
  return folder;
}

/**
 * Runs node with `args`. Resolves with how it ended, and what is to be printed for it: its name and all that it has said,
 * nothing where that went to the terminal at once (`live`).
 */
function finished(name, args, { env, live, niceness }) {
  const title = `\n== ${name}\n`;
  if (live) {
    say(title);
    held = [];
  }
  const began = Date.now();
  return new Promise((resolve, reject) => {
    const output = live ? "inherit" : "pipe";
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: ["ignore", output, output],
      env: { ...process.env, ...env },
      detached: niceness !== 0,
    });
    if (niceness !== 0) giveWay(child.pid, niceness);
    running.add(child);
    // Whatever hangs, in a test or after the last of them, must not keep everybody waiting for ever.
    const limit = setTimeout(() => {
      say(`\n${name} is ended: it has taken ${RUN_MAX_MS / 60_000} minutes\n`);
      const family = familyOf(child.pid);
      for (const pid of family) endProcess(pid);
      setTimeout(() => family.forEach((pid) => endProcess(pid, "SIGKILL")), END_WITHIN_MS);
    }, RUN_MAX_MS);
    const parts = [];
    child.stdout?.on("data", (part) => parts.push(part));
    child.stderr?.on("data", (part) => parts.push(part));
    child.once("error", reject);
    child.once("close", (status, signal) => {
      running.delete(child);
      clearTimeout(limit);
      const seconds = ((Date.now() - began) / 1000).toFixed(1);
      const how = signal ?? `exit code ${status}`;
      if (!live) resolve({ well: status === 0, how, seconds, output: title + Buffer.concat(parts) });
      else {
        const later = held;
        held = null;
        resolve({ well: status === 0, how, seconds, output: "" });
        for (const text of later) say(text);
      }
    });
  });
}

/**
 * Lets everything else go first. Where Linux weighs sessions and not processes (autogroup), it is the session's own
 * niceness that counts. Where neither can be set it takes its share of two cores, as the other tests do.
 */
function giveWay(pid, niceness) {
  try {
    setPriority(pid, niceness);
    writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  } catch {}
}

/** True once this has been cut off: it takes along what it has started, and leaves no files. */
let stopping = false;
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
])
  process.once(signal, () => {
    stopping = true;
    process.exitCode = code;
    // A run of mocha ends without its clusters, whatever it is sent. Chaos takes down its hosts itself.
    for (const child of running) for (const pid of familyOf(child.pid)) endProcess(pid);
  });

/** A process and all that it has started, as far as their parents live. */
function familyOf(pid) {
  const children = spawnSync("ps", ["-o", "pid=", "--ppid", String(pid)], { encoding: "utf8" }).stdout ?? "";
  return [pid, ...children.split("\n").map(Number).filter(Boolean).flatMap(familyOf)];
}

function endProcess(pid, signal = "SIGTERM") {
  try {
    process.kill(pid, signal);
  } catch {}
}

/** What is still mounted there stays, and is named. */
function removeReports() {
  try {
    rmSync(reports, { recursive: true, force: true });
  } catch (error) {
    process.stdout.write(`left behind: ${error.message}\n`);
  }
}

/** Hosts of their own need root and iproute2. Without, this part is left out, and loudly. */
async function chaos() {
  const able = process.getuid?.() === 0 && spawnSync("ip", ["-V"], { stdio: "ignore" }).status === 0;
  // Its folder is kept when it fails, so it stands where such folders stand.
  if (able) return program("chaos", "chaos/main.js", { env: { SECONDS_MAX: "180" }, live: true });
  say("\n== chaos: SKIPPED, it needs root and iproute2 for network namespaces\n");
  return { passed: 0, failed: [] };
}

/** A few planted bugs, others each day: those that a quiet machine kills within seconds. */
function mutants(options) {
  const day = Math.floor(Date.now() / 86_400_000);
  const chosen = Array.from({ length: 11 }, (_, i) => QUICK_MUTANTS[(day * 11 + i) % QUICK_MUTANTS.length]);
  return program("mutants", "simulation/mutants-main.js", { env: { MUTANT: chosen.join(",") }, ...options });
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
const LONGEST = ["lifecycle", "failover", "cli"];
const CRASHES = "dist/test/filenode/crash/*.test.js";
const PRODUCT_SIMULATION = "dist/test/simulation/cluster.test.js";
const SIMULATIONS = ["dist/test/simulation/*.test.js", "dist/test/explore/*.test.js"];
const ELSEWHERE = ["dist/test/integration/**", CRASHES, ...SIMULATIONS].flatMap((spec) => ["--ignore", spec]);

/** One thing to run: its name, and what starts it; that takes the options of `run`. */
const job = (name, args) => (options) => run(name, args, options);
const integration = (name, files = [name]) => job(`integration ${name}`, [...files.map(fileOf), ...PATIENT]);

/**
 * Tests that live in real time but can stand each other. Integration tests, a job a file, start clusters and wait for them;
 * the two others compute: two at a time fill two cores. The longest first, so that both lanes end at about the same time,
 * and those that compute beside clusters, so that two clusters meet for half of the time only.
 */
function timed() {
  const shorter = readdirSync(join(root, "dist", "test", "integration"))
    .filter((file) => file.endsWith(".test.js"))
    .map((file) => file.slice(0, -".test.js".length))
    .filter((name) => ![...MEASURING, ...DISKS, ...LONGEST].includes(name));
  return [
    job("crash windows", [CRASHES]),
    ...LONGEST.slice(0, 2).map((name) => integration(name)),
    job("unit", ["dist/test/**/*.test.js", ...ELSEWHERE]),
    ...LONGEST.slice(2).map((name) => integration(name)),
    integration("disks", DISKS),
    ...shorter.map((name) => integration(name)),
  ];
}

/** Virtual time, one core each: the same whatever runs beside them, and as quick as that allows. */
function timeless() {
  return [
    job("simulation of the product", [PRODUCT_SIMULATION]),
    mutants,
    job("simulation of the core, small scopes", [...SIMULATIONS, "--ignore", PRODUCT_SIMULATION]),
  ];
}

const runs = [];

/** Takes from `waiting`, one after the other, what nobody else has begun. */
async function lane(waiting, options = {}) {
  for (let next = waiting.shift(); next !== undefined && !stopping; next = waiting.shift())
    runs.push(await next(options));
}

say("\n== unit, crash windows and integration, two at a time\n");
const began = Date.now();
const took = () => ((Date.now() - began) / 1000).toFixed(1);
const together = timed();
await Promise.all([lane(together, { lane: 0 }), lane(together, { lane: 1 })]);
say(`\nall of these: ${took()} s\n`);
await lane([job("integration measuring", [...MEASURING.map(fileOf), ...PATIENT])], { live: true });
say("\n== chaos, and beside it at the lowest priority: simulations, planted bugs\n");
const beside = timeless();
await Promise.all([lane([chaos]).then(() => lane(beside)), lane(beside, { niceness: IDLE })]);
say(`\nall tests: ${took()} s\n`);
removeReports();
const passed = runs.reduce((sum, each) => sum + each.passed, 0);
const failed = runs.flatMap((each) => each.failed);
// Said again at the end, because the end is what is kept of a long log.
for (const each of failed) process.stdout.write(`FAILED ${each}\n`);
process.stdout.write(`\n${passed} passed, ${failed.length} failed\n`);
// No tests at all is no success either.
process.exitCode ||= failed.length > 0 || passed === 0 ? 1 : 0;
