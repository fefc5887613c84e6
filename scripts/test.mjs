// What `make test` runs after build and lint: unit tests, integration tests with real processes, a few planted bugs, and
// chaos on hosts of their own. The last line is "N passed, N failed" and nothing else; the exit code says the same.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const mocha = join(root, "node_modules", "mocha", "bin", "mocha.js");
const reports = mkdtempSync(join(tmpdir(), "holdfast-test-"));

/** One run of mocha in a process of its own. A run that dies without a report counts as one failure. */
function run(name, args) {
  process.stdout.write(`\n== ${name}\n`);
  const report = join(reports, `${name}.json`);
  const began = Date.now();
  const result = spawnSync(
    process.execPath,
    [
      mocha,
      "--config",
      join(root, "scripts", "mocharc.test.json"),
      "--reporter",
      join(root, "scripts", "test-reporter.mjs"),
      ...args,
    ],
    { cwd: root, stdio: "inherit", env: { ...process.env, HOLDFAST_TEST_REPORT: report } },
  );
  const counted = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : null;
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  if (counted === null) {
    process.stdout.write(
      `${name} died without a report (${result.signal ?? `exit code ${result.status}`}) after ${seconds} s\n`,
    );
    return { passed: 0, failed: 1 };
  }
  process.stdout.write(`${name}: ${counted.passes} passed, ${counted.failures} failed in ${seconds} s\n`);
  // Green tests in a process that ended badly are not green: something broke after the last of them.
  const diedAfter = result.status !== 0 && counted.failures === 0 ? 1 : 0;
  if (diedAfter === 1)
    process.stdout.write(
      `${name} ended by ${result.signal ?? `exit code ${result.status}`} after its last test\n`,
    );
  return { passed: counted.passes, failed: counted.failures + diedAfter };
}

/** A program that says by its exit code whether its claims hold: counts as one test. */
function program(name, script, env) {
  process.stdout.write(`\n== ${name}\n`);
  const result = spawnSync(process.execPath, [join(root, "dist", "test", script)], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  return result.status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** Hosts of their own need root and iproute2. Without, this part is left out, and loudly. */
function chaos() {
  const able = process.getuid?.() === 0 && spawnSync("ip", ["-V"], { stdio: "ignore" }).status === 0;
  if (able) return program("chaos", "chaos/main.js", { SECONDS_MAX: "180" });
  process.stdout.write("\n== chaos: SKIPPED, it needs root and iproute2 for network namespaces\n");
  return { passed: 0, failed: 0 };
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

const runs = [
  run("unit", ["dist/test/**/*.test.js", "--ignore", "dist/test/integration/**"]),
  run("integration", ["dist/test/integration/**/*.test.js", "--timeout", "120000"]),
  mutants(),
  chaos(),
];
rmSync(reports, { recursive: true, force: true });
const passed = runs.reduce((sum, each) => sum + each.passed, 0);
const failed = runs.reduce((sum, each) => sum + each.failed, 0);
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
// No tests at all is no success either.
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
