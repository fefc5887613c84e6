import { Client, credentials } from "@grpc/grpc-js";
import { connect, connectKeys } from "../src/client/index.js";
import { v1 } from "../src/wire/index.js";
import { services } from "../src/wire/services.js";
import type { HoldfastCluster } from "./holdfast-cluster.js";
import { h2load } from "./h2load.js";
import { closedLoop, type Measured } from "./load.js";
import { type Child, ownCpuMs } from "./processes.js";

/** A measured series with what one operation cost in CPU time. */
export interface Row extends Measured, CpuPerOp {}

/** CPU time of one operation in µs, by who spent it. The cores are shared, so their sum bounds what the whole can do. */
export interface CpuPerOp {
  readonly leaderCpuUsPerOp: number;
  /** Both together. */
  readonly followersCpuUsPerOp: number;
  /** The generator of the load: this process, or h2load. */
  readonly clientCpuUsPerOp: number;
}

/** The processes of a cluster, for their CPU times. */
export interface Servers {
  readonly leader: Child;
  readonly followers: readonly Child[];
}

/** How long and how wide to measure. */
export interface Plan {
  readonly seconds: number;
  readonly levels: readonly number[];
  readonly value: Uint8Array;
}

/** Runs a series and notes what it cost everybody. */
export async function measured(servers: Servers, run: () => Promise<Measured>): Promise<Row> {
  const { result, cpu } = await counted(servers, run);
  return { ...result, ...perOp(cpu, result.count) };
}

/** CPU times in ms, by who spent them. */
interface CpuMs {
  readonly leader: number;
  readonly followers: number;
  readonly client: number;
}

/** Runs something and notes the CPU time that it cost everybody, ended children of this process included. */
export async function counted<T>(
  servers: Servers,
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpu: CpuMs }> {
  const before = cpuNow(servers);
  const result = await run();
  const after = cpuNow(servers);
  const cpu = {
    leader: after.leader - before.leader,
    followers: after.followers - before.followers,
    client: after.client - before.client,
  };
  return { result, cpu };
}

function cpuNow({ leader, followers }: Servers): CpuMs {
  return {
    leader: leader.cpuMs(),
    followers: followers.reduce((sum, follower) => sum + follower.cpuMs(), 0),
    client: ownCpuMs(),
  };
}

/** What each operation of `count` cost. */
export function perOp(cpu: CpuMs, count: number): CpuPerOp {
  const us = (ms: number) => (ms * 1000) / Math.max(1, count);
  return {
    leaderCpuUsPerOp: us(cpu.leader),
    followersCpuUsPerOp: us(cpu.followers),
    clientCpuUsPerOp: us(cpu.client),
  };
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
  for (const level of plan.levels) rows.push(await measured(cluster, () => load(level, plan.seconds)));
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
      await measured(cluster, () =>
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
  const { result, cpu } = await counted(cluster, () =>
    h2load({
      address: cluster.addresses[0] as string,
      path: storeKeyMethod().path,
      message: v1.StoreKey.encode(storeKey("bench/0", before?.epoch ?? 0, plan.value)).finish(),
      requests,
      clients: 4,
      streams: 16,
    }),
  );
  const after = await keys.get("bench/0");
  keys.close();
  const stored = (after?.version ?? 0) - (before?.version ?? 0);
  return h2Row("holdfast", "store, h2load unary", result, requests - stored, cpu);
}

/** An h2load result as a row; it gives no percentiles. */
export function h2Row(
  target: string,
  operation: string,
  result: { opsPerSecond: number; requests: number; failed: number; maxMs: number },
  missing: number,
  cpu: CpuMs,
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
    ...perOp(cpu, result.requests),
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
    await measured(cluster, () =>
      closedLoop({ ...warm, operation: "open + close, persistent", seconds: plan.seconds }, pair),
    ),
  ];
  const handle = await session.open("demo:/bench-lock", { disposition: "open-if" });
  const range = { offset: 0, length: 1 };
  rows.push(
    await measured(cluster, () =>
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
