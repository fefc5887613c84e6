/**
 * Durable operations a second and their latency, on a real three-node cluster of processes, beside etcd in the same run
 * where it is installed. One operation: 256 bytes of state under a key, answered once a quorum has it on disk.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Row } from "./cpu-cost.js";
import { startEtcd } from "./etcd-cluster.js";
import { etcdH2Load, etcdLoad } from "./etcd-load.js";
import { isInstalled } from "./h2load.js";
import { startHoldfast } from "./holdfast-cluster.js";
import { handleLoad } from "./handle-load.js";
import { h2Load, keyServer, PLACES, type Plan, streamLoad, unaryLoad } from "./holdfast-load.js";
import { writeMarkdown } from "./markdown.js";
import { machine, print, ratios } from "./report.js";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: process.env["BENCH_SECONDS"] ?? "4" },
    levels: { type: "string", default: "1,16,64,256" },
    warm: { type: "string", default: "10" },
    profile: { type: "string" },
    markdown: { type: "string" },
    "no-etcd": { type: "boolean", default: false },
    "no-unary": { type: "boolean", default: false },
    "stream-only": { type: "boolean", default: false },
    json: { type: "string", default: process.env["JSON"] ?? "" },
  },
});
const plan: Plan = {
  seconds: Number(values.seconds),
  levels: values.levels.split(",").map(Number),
  value: Buffer.alloc(256, 7),
};
/** Before each row, for every target alike: a server runs for weeks, and the compiler takes seconds. */
const WARM_SECONDS = Number(values.warm);

const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
const profile = values.profile === undefined ? null : resolve(values.profile);
if (profile !== null) mkdirSync(profile, { recursive: true });
const rows: Row[] = [];
const where = machine();
try {
  await measure();
  const claims = ratios(rows);
  print(rows, claims, where);
  if (values.json !== "")
    writeFileSync(
      values.json,
      `${JSON.stringify({ schemaVersion: 1, machine: where, seconds: plan.seconds, rows, claims }, null, 2)}\n`,
    );
  if (values.markdown !== undefined) writeMarkdown(values.markdown, rows, claims, where);
  if (profile !== null) console.log(`CPU profiles of the nodes are in ${profile}`);
  // A figure below its target is a result; an operation that failed is not.
  process.exitCode = rows.some((row) => row.errors > 0) ? 1 : 0;
} catch (error) {
  // What was measured before something broke is worth seeing.
  if (rows.length > 0) print(rows, [], where);
  throw error;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function measure(): Promise<void> {
  const withH2Load = isInstalled("h2load") && !values["stream-only"];
  const cluster = await startHoldfast(join(folder, "holdfast"), profile);
  const keys = keyServer(cluster);
  try {
    rows.push(...(await streamLoad(cluster, keys, plan, WARM_SECONDS)));
    if (!values["no-unary"] && !values["stream-only"])
      rows.push(...(await unaryLoad(cluster, keys, plan, WARM_SECONDS)));
    if (withH2Load) for (const place of PLACES) rows.push(...(await h2Load(cluster, keys, plan, place)));
    if (!values["stream-only"]) rows.push(...(await handleLoad(cluster, plan, WARM_SECONDS)));
  } finally {
    keys.close();
    await cluster.stop();
  }
  if (values["no-etcd"] || !isInstalled("etcd")) {
    console.log("etcd is not measured: it is not installed, or was left out");
    return;
  }
  const etcd = await startEtcd(join(folder, "etcd"));
  try {
    rows.push(...(await etcdLoad(etcd, plan, WARM_SECONDS)));
    if (withH2Load) for (const place of PLACES) rows.push(...(await etcdH2Load(etcd, plan, place)));
  } finally {
    await etcd.stop();
  }
  if (!isInstalled("h2load")) console.log("h2load is not installed (nghttp2-client): no figures from it");
}
