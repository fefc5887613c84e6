// Runs the real core against a folder of etcd's raft test files: DIR=folder, JSON=file for the figures.
import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { describeDifference, type OracleReport, runOracle } from "./oracle.js";

const DIFFERENCES_SHOWN_MAX = 20;

function print(report: OracleReport): void {
  const width = Math.max(...report.files.map((f) => f.file.length), 5);
  for (const { file, passed, diverged, failures } of report.files) {
    const extra = diverged > 0 ? `, ${diverged} listed divergences` : "";
    console.log(`${file.padEnd(width)}  ${passed} passed, ${failures.length} failed${extra}`);
  }
  let shown = 0;
  for (const { file, failures } of report.files) {
    for (const { line, command, expected, actual } of failures) {
      if (shown++ >= DIFFERENCES_SHOWN_MAX) break;
      console.log(`\n${file}:${line} ${command}\n${describeDifference(expected, actual)}`);
    }
  }
  for (const { file, line, reason } of report.stale) {
    console.log(`\nstale divergence, remove it: ${file}:${line} (${reason})`);
  }
  const divergences = report.diverged > 0 ? `, ${report.diverged} listed divergences` : "";
  console.log(
    `\ntotal: ${report.files.length} files, ${report.passed} cases passed, ${report.failed} failed${divergences}`,
  );
}

function main(): number {
  const dir = process.env["DIR"] || "../shared/oracle/etcd-raft";
  if (!existsSync(dir)) {
    console.error(`no such folder: ${resolve(dir)}; give the folder of the test files with DIR=`);
    return 2;
  }
  const report = runOracle(dir);
  if (report.files.length === 0) {
    console.error(
      `${resolve(dir)} holds none of the folders interaction, confchange, quorum with .txt files`,
    );
    return 2;
  }
  print(report);
  const json = process.env["JSON"];
  if (json) writeFileSync(json, `${JSON.stringify(figures(report), null, 2)}\n`);
  return report.failed > 0 || report.stale.length > 0 ? 1 : 0;
}

function figures(report: OracleReport): object {
  return {
    schemaVersion: 1,
    files: report.files.map(({ file, passed, diverged, failures }) => ({
      file,
      passed,
      failed: failures.length,
      diverged,
    })),
    passed: report.passed,
    failed: report.failed,
    diverged: report.diverged,
    staleDivergences: report.stale.length,
  };
}

process.exitCode = main();
