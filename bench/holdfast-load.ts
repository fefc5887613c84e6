import { Client, credentials } from "@grpc/grpc-js";
import { connectKeys, type ResumeKeys } from "../src/client/index.js";
import { v1 } from "../src/wire/index.js";
import { services } from "../src/wire/services.js";
import type { HoldfastCluster } from "./holdfast-cluster.js";
import { h2Series } from "./h2-series.js";
import { closedLoop } from "./load.js";
import { measured, type Row } from "./cpu-cost.js";

/** How long and how wide to measure. */
export interface Plan {
  readonly seconds: number;
  readonly levels: readonly number[];
  readonly value: Uint8Array;
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
  place: Place,
): Promise<Row[]> {
  const epoch = (await keys.get("bench/0"))?.epoch ?? 0;
  const version = async () => (await keys.get("bench/0"))?.version ?? 0;
  const call = {
    address: addressAt(cluster.addresses, place),
    path: storeKeyMethod().path,
    message: v1.StoreKey.encode(storeKey("bench/0", epoch, plan.value)).finish(),
  };
  const series = { target: "holdfast", operation: `store, h2load unary at ${place}` };
  return h2Series(cluster, series, call, plan.levels, version);
}

function storeKey(key: string, epoch: number, state: Uint8Array): v1.IStoreKey {
  return { key, node: SERVER.server, nodeIncarnation: SERVER.incarnation, epoch, state };
}

function storeKeyMethod() {
  const method = services.Coordinator["StoreKey"];
  if (method === undefined) throw new Error("Coordinator.StoreKey is not in the service table");
  return method;
}
