// Mocha reporter: the usual dots and failures for people; the counts, the names of failures and the time each file took in
// the file HOLDFAST_TEST_REPORT.
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import mocha from "mocha";

export default class CountingReporter extends mocha.reporters.Dot {
  constructor(runner, options) {
    super(runner, options);
    const failed = [];
    const msByFile = new Map();
    // Hooks count: most of what an integration test takes is the start of its cluster.
    let sinceMs = performance.now();
    const took = (file) => {
      const nowMs = performance.now();
      if (file) {
        const name = relative(process.cwd(), file);
        msByFile.set(name, (msByFile.get(name) ?? 0) + nowMs - sinceMs);
      }
      sinceMs = nowMs;
    };
    runner.on("suite", () => took());
    runner.on("test end", (test) => took(test.file));
    runner.on("suite end", (suite) => took(suite.file));
    runner.on("fail", (test, error) => failed.push(`${test.fullTitle()}: ${firstLine(error)}`));
    runner.once("end", () => {
      const { passes, failures, pending } = this.stats;
      const file = process.env.HOLDFAST_TEST_REPORT;
      const slowest = [...msByFile].sort((a, b) => b[1] - a[1]).slice(0, 5);
      if (file !== undefined)
        writeFileSync(file, JSON.stringify({ passes, failures, pending, failed, slowest }));
    });
  }
}

function firstLine(error) {
  return String(error?.message ?? error)
    .split("\n")
    .find((line) => line.trim() !== "");
}
