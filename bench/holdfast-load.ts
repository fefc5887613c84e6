import { Client, credentials } from "@grpc/grpc-js";
import { connectKeys, type ResumeKeys } from "../src/client/index.js";
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

/** The file server whose keys are stored. It must live as long as anything is stored: a dead one's commands are refused. */
export function keyServer(cluster: HoldfastCluster): ResumeKeys {
  return connectKeys({ nodes: cluster.addresses, ...SERVER });
}

/** Stores under resume keys through the client library's stream. */
export async function streamLoad(
  cluster: HoldfastCluster,
  keys: ResumeKeys,
  plan: Plan,
  warmSeconds: number,
): Promise<Row[]> {
  const widest = Math.max(...plan.levels);
  const records = await Promise.all(
    Array.from({ length: widest }, (_, i) => keys.claim(`bench/${i}`, plan.value)),
  );
  const store = (worker: number) => keys.store(`bench/${worker}`, records[worker]?.epoch ?? 0, plan.value);
  const load = (inFlight: number, seconds: number) =>
    closedLoop({ target: "holdfast", operation: "store, library stream", inFlight, seconds }, store);
  const rows: Row[] = [];
  for (const level of plan.levels) {
    // At its own level: rounds are as many as at one in flight only there, and they are what has to get warm.
    await load(level, warmSeconds);
    rows.push(await measured(cluster, () => load(level, plan.seconds)));
  }
  return rows;
}

/** The same as unary calls from grpc-js. */
export async function unaryLoad(
  cluster: HoldfastCluster,
  keys: ResumeKeys,
  plan: Plan,
  warmSeconds: number,
): Promise<Row[]> {
  const client = new Client(cluster.addresses[0] as string, credentials.createInsecure(), {
    "grpc.enable_http_proxy": 0,
  });
  const method = storeKeyMethod();
  const epoch = (await keys.get("bench/0"))?.epoch ?? 0;
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
  const load = (inFlight: number, seconds: number) =>
    closedLoop({ target: "holdfast", operation: "store, grpc-js unary", inFlight, seconds }, store);
  const rows: Row[] = [];
  for (const level of plan.levels) {
    await load(level, warmSeconds);
    rows.push(await measured(cluster, () => load(level, plan.seconds)));
  }
  client.close();
  return rows;
}

/** How many calls h2load makes to warm a target up, and then to measure it. */
export interface H2LoadPlan {
  readonly warm: number;
  readonly measured: number;
}

/** Which node a load is aimed at. A client may know any of them. */
export const PLACES = ["leader", "follower"] as const;
export type Place = (typeof PLACES)[number];

/** The address at a place, of addresses that begin with the leader's. */
export function addressAt(addresses: readonly string[], place: Place): string {
  const address = addresses[PLACES.indexOf(place)];
  if (address === undefined) throw new Error(`there is no address of a ${place}`);
  return address;
}

/** The same from h2load, to the leader or to a follower; the stored version proves that the calls were carried out. */
export async function h2Load(
  cluster: HoldfastCluster,
  keys: ResumeKeys,
  plan: Plan,
  requests: H2LoadPlan,
  place: Place,
): Promise<Row> {
  const epoch = (await keys.get("bench/0"))?.epoch ?? 0;
  const load = (count: number) =>
    h2load({
      address: addressAt(cluster.addresses, place),
      path: storeKeyMethod().path,
      message: v1.StoreKey.encode(storeKey("bench/0", epoch, plan.value)).finish(),
      requests: count,
      clients: 4,
      streams: 16,
    });
  await load(requests.warm);
  const before = await keys.get("bench/0");
  const { result, cpu } = await counted(cluster, () => load(requests.measured));
  const after = await keys.get("bench/0");
  const stored = (after?.version ?? 0) - (before?.version ?? 0);
  return h2Row("holdfast", `store, h2load unary at ${place}`, result, requests.measured - stored, cpu);
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

function storeKey(key: string, epoch: number, state: Uint8Array): v1.IStoreKey {
  return { key, node: SERVER.server, nodeIncarnation: SERVER.incarnation, epoch, state };
}

function storeKeyMethod() {
  const method = services.Coordinator["StoreKey"];
  if (method === undefined) throw new Error("Coordinator.StoreKey is not in the service table");
  return method;
}
