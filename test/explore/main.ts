// Exhaustive exploration of small groups on the real core. SECONDS_MAX bounds each scope, STATES_MAX its worlds,
// SCOPE picks those whose name contains it, JSON=file leaves the figures.
import { writeFileSync } from "node:fs";
import { SCOPES } from "./scopes.js";
import { explore, type SearchResult } from "./search.js";

function print(result: SearchResult): void {
  const end = result.complete ? "complete" : `stopped at depth ${result.depth}`;
  const rate = Math.round(result.states / Math.max(result.seconds, 0.001));
  console.log(
    `${result.scope}\n  ${result.states} states (${result.nodeStates} of single members), ${result.transitions} transitions, depth ${result.depth}, ` +
      `${end}, ${result.seconds.toFixed(1)} s, ${rate} states/s`,
  );
  const reached = Object.entries(result.reached).map(([what, count]) => `${what} ${count}`);
  console.log(`  reached: ${reached.join(", ")}`);
  if (result.violation === null) return;
  console.log(`  VIOLATION: ${result.violation.message}\n    ${result.violation.path.join("\n    ")}`);
}

function main(): number {
  const secondsMax = Number(process.env["SECONDS_MAX"] || 90);
  const statesMax = Number(process.env["STATES_MAX"] || 180_000_000);
  const wanted = process.env["SCOPE"] ?? "";
  const results: SearchResult[] = [];
  for (const scope of SCOPES) {
    if (!scope.name.includes(wanted)) continue;
    const nowMs = (): number => performance.now();
    const result = explore(scope, { statesMax, nowMs, deadlineMs: nowMs() + secondsMax * 1000 });
    print(result);
    results.push(result);
  }
  const json = process.env["JSON"];
  if (json) writeFileSync(json, `${JSON.stringify({ schemaVersion: 1, results }, null, 2)}\n`);
  return results.length > 0 && results.every((result) => result.violation === null) ? 0 : 1;
}

process.exitCode = main();
