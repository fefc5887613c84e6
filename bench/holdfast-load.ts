import { Client, credentials } from "@grpc/grpc-js";
import { connect, connectKeys } from "../src/client/index.js";
import { v1 } from "../src/wire/index.js";
import { services } from "../src/wire/services.js";
import type { HoldfastCluster } from "./holdfast-cluster.js";
import { h2load } from "./h2load.js";
import { closedLoop, type Measured } from "./load.js";
import type { Child } from "./processes.js";

/** A measured series with the leader's CPU time for one operation. */
export interface Row extends Measured {
  readonly leaderCpuUsPerOp: number;
}

/** How long and how wide to measure. */
export interface Plan {
  readonly seconds: number;
  readonly levels: readonly number[];
  readonly value: Uint8Array;
}

/** Runs a series and notes what it cost the leader. */
export async function measured(leader: Child, run: () => Promise<Measured>): Promise<Row> {
  const before = leader.cpuMs();
  const result = await run();
  const cpuMs = leader.cpuMs() - before;
  return { ...result, leaderCpuUsPerOp: (cpuMs * 1000) / Math.max(1, result.count) };
}

const SERVER = { server: "bench", incarnation: 1 };

/** Stores under resume keys through the client library's stream. */
export async function streamLoad(cluster: HoldfastCluster, plan: Plan, warmSeconds: number): Promise<Row[]> {
  const keys = connectKeys({ nodes: cluster.addresses, ...SERVER });
  const widest = Math.max(...plan.levels);
  const records = await Promise.all(
    Array.from({ length: widest }, (_, i) => keys.claim(`bench/${i}`, plan.value)),
  );
  const store = (worker: number) => keys.store(`bench/${worker}`, records[worker]?.epoch ?? 0, plan.value);
  const load = (inFlight: number, seconds: number) =>
    closedLoop({ target: "holdfast", operation: "store, library stream", inFlight, seconds }, store);
  await load(64, warmSeconds);
  const rows: Row[] = [];
  for (const level of plan.levels) rows.push(await measured(cluster.leader, () => load(level, plan.seconds)));
  keys.close();
  return rows;
}

/** The same as unary calls from grpc-js. */
export async function unaryLoad(cluster: HoldfastCluster, plan: Plan): Promise<Row[]> {
  const client = new Client(cluster.addresses[0] as string, credentials.createInsecure(), {
    "grpc.enable_http_proxy": 0,
  });
  const method = storeKeyMethod();
  const epoch = await epochOf(cluster, "bench/0");
  const store = (worker: number) =>
    new Promise<void>((resolve, reject) => {
      const request = storeKey(`bench/${worker}`, epoch, plan.value);
      client.makeUnaryRequest(
        method.path,
        (message: v1.IStoreKey) => method.requestSerialize(message),
        (bytes) => method.responseDeserialize(bytes) as v1.ICommandResult,
        request,
        { deadline: Date.now() + 10_000 },
        (error, result) => {
          if (error) reject(error);
          else if (result?.error) reject(new Error(result.error.message ?? "refused"));
          else resolve();
        },
      );
    });
  const rows: Row[] = [];
  for (const inFlight of plan.levels)
    rows.push(
      await measured(cluster.leader, () =>
        closedLoop(
          { target: "holdfast", operation: "store, grpc-js unary", inFlight, seconds: plan.seconds },
          store,
        ),
      ),
    );
  client.close();
  return rows;
}

/** The same from h2load; the stored version afterwards proves that the calls were carried out. */
export async function h2Load(cluster: HoldfastCluster, plan: Plan, requests: number): Promise<Row> {
  const keys = connectKeys({ nodes: cluster.addresses, ...SERVER });
  const before = await keys.get("bench/0");
  const cpuBefore = cluster.leader.cpuMs();
  const result = await h2load({
    address: cluster.addresses[0] as string,
    path: storeKeyMethod().path,
    message: v1.StoreKey.encode(storeKey("bench/0", before?.epoch ?? 0, plan.value)).finish(),
    requests,
    clients: 4,
    streams: 16,
  });
  const cpuMs = cluster.leader.cpuMs() - cpuBefore;
  const after = await keys.get("bench/0");
  keys.close();
  const stored = (after?.version ?? 0) - (before?.version ?? 0);
  return h2Row("holdfast", "store, h2load unary", result, requests - stored, cpuMs);
}

/** An h2load result as a row; it gives no percentiles. */
export function h2Row(
  target: string,
  operation: string,
  result: { opsPerSecond: number; requests: number; failed: number; maxMs: number },
  missing: number,
  cpuMs: number,
): Row {
  return {
    target,
    operation,
    inFlight: 64,
    count: result.requests,
    errors: result.failed + Math.max(0, missing),
    seconds: result.requests / result.opsPerSecond,
    opsPerSecond: result.opsPerSecond,
    p50Ms: Number.NaN,
    p90Ms: Number.NaN,
    p99Ms: Number.NaN,
    maxMs: result.maxMs,
    leaderCpuUsPerOp: (cpuMs * 1000) / Math.max(1, result.requests),
    ...(missing > 0 ? { error: `${missing} calls were not carried out` } : {}),
  };
}

/** Open and close of a persistent handle, lock and unlock: one client, one pair at a time. */
export async function handleLoad(cluster: HoldfastCluster, plan: Plan): Promise<Row[]> {
  const session = await connect({ nodes: cluster.addresses, clientName: "bench" });
  const pair = async () => {
    const handle = await session.open("demo:/bench-open", { disposition: "open-if" });
    await handle.close();
  };
  const warm = { target: "holdfast", operation: "warm-up", inFlight: 1, seconds: 1 };
  await closedLoop(warm, pair);
  const rows = [
    await measured(cluster.leader, () =>
      closedLoop({ ...warm, operation: "open + close, persistent", seconds: plan.seconds }, pair),
    ),
  ];
  const handle = await session.open("demo:/bench-lock", { disposition: "open-if" });
  const range = { offset: 0, length: 1 };
  rows.push(
    await measured(cluster.leader, () =>
      closedLoop({ ...warm, operation: "lock + unlock", seconds: plan.seconds }, async () => {
        await handle.lock(range);
        await handle.unlock(range);
      }),
    ),
  );
  await handle.close();
  await session.close();
  return rows;
}

function storeKey(key: string, epoch: number, state: Uint8Array): v1.IStoreKey {
  return { key, node: SERVER.server, nodeIncarnation: SERVER.incarnation, epoch, state };
}

function storeKeyMethod() {
  const method = services.Coordinator["StoreKey"];
  if (method === undefined) throw new Error("Coordinator.StoreKey is not in the service table");
  return method;
}

async function epochOf(cluster: HoldfastCluster, key: string): Promise<number> {
  const keys = connectKeys({ nodes: cluster.addresses, ...SERVER });
  const record = await keys.get(key);
  keys.close();
  return record?.epoch ?? 0;
}
