/** How many durable persist calls a second the node storage takes on this disk, and how long one takes. Short: 1.5 s a row. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Entry, EntryKind, type PersistBatch } from "../src/raft/index.js";
import { memoryMeter, realClock, realRandom, realScheduler } from "../src/runtime/index.js";
import { NodeStorage, openRocks } from "../src/storage/index.js";

const ROW_MS = 1500;
const WARM_UP_MS = 500;
const VALUE = Buffer.alloc(256, 7);

interface Row {
  readonly entriesPerBatch: number;
  readonly inFlight: number;
  readonly persistsPerSecond: number;
  readonly entriesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly callMicros: number;
  readonly cpuMicrosPerPersist: number;
}

/** Keeps `inFlight` batches of `size` entries under way for `ms`. */
async function run(
  storage: NodeStorage,
  from: { seq: number; index: number },
  size: number,
  inFlight: number,
  ms: number,
) {
  const latencies: number[] = [];
  let calls = 0;
  const began = realClock.monotonicMs();
  const cpu = process.cpuUsage();
  await new Promise<void>((resolve, reject) => {
    let under = 0;
    const turn = () => {
      const now = realClock.monotonicMs();
      if (now - began >= ms) {
        if (under === 0) resolve();
        return;
      }
      const entries = Array.from({ length: size }, () => new Entry(1, ++from.index, EntryKind.Normal, VALUE));
      const batch: PersistBatch = {
        seq: ++from.seq,
        hardState: null,
        entries,
        snapshot: null,
        mustSync: true,
        after: [],
      };
      under++;
      storage.persist(batch, (error) => {
        if (error) return reject(error);
        under--;
        latencies.push(realClock.monotonicMs() - now);
        turn();
      });
      calls += realClock.monotonicMs() - now;
    };
    for (let i = 0; i < inFlight; i++) turn();
  });
  const seconds = (realClock.monotonicMs() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  const row: Row = {
    entriesPerBatch: size,
    inFlight,
    persistsPerSecond: Math.round(latencies.length / seconds),
    entriesPerSecond: Math.round((latencies.length * size) / seconds),
    p50Ms: round(at(0.5)),
    p99Ms: round(at(0.99)),
    callMicros: Math.round((calls * 1000) / latencies.length),
    cpuMicrosPerPersist: Math.round((user + system) / latencies.length),
  };
  return row;
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

const folder = mkdtempSync(join(process.env["DIR"] ?? tmpdir(), "holdfast-bench-"));
try {
  const world = { clock: realClock, scheduler: realScheduler, random: realRandom, meter: memoryMeter() };
  const storage = await NodeStorage.open(await openRocks(join(folder, "db")), world);
  const confState = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  await storage.initialise({ clusterId: "bench", name: "n1", raftId: 1, incarnation: 1 }, confState);
  await storage.loadDurable();
  const from = { seq: 0, index: 0 };
  await run(storage, from, 8, 4, WARM_UP_MS);
  const rows: Row[] = [];
  for (const size of [1, 8, 64])
    for (const inFlight of [1, 16]) rows.push(await run(storage, from, size, inFlight, ROW_MS));
  console.table(rows);
  const json = process.env["JSON"];
  if (json) writeFileSync(json, JSON.stringify({ schemaVersion: 1, storage: rows }, null, 2));
  await storage.close();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
