import { encodePut, ETCD_PUT_PATH, type EtcdCluster } from "./etcd-cluster.js";
import { h2Series } from "./h2-series.js";
import { measured, type Row } from "./cpu-cost.js";
import { addressAt, type Place, type Plan } from "./holdfast-load.js";
import { closedLoop } from "./load.js";

/** Puts of the same size as our stores, from a grpc-js client to etcd's leader. */
export async function etcdLoad(etcd: EtcdCluster, plan: Plan, warmSeconds: number): Promise<Row[]> {
  const put = (worker: number) => etcd.put(`bench/${worker}`, plan.value);
  const load = (inFlight: number, seconds: number) =>
    closedLoop({ target: "etcd", operation: "put, grpc-js unary", inFlight, seconds }, put);
  const rows: Row[] = [];
  for (const level of plan.levels) {
    // At its own level: rounds are as many as at one in flight only there, and they are what has to get warm.
    await load(level, warmSeconds);
    rows.push(await measured(etcd, () => load(level, plan.seconds)));
  }
  return rows;
}

/** The same from h2load, to the leader or to a follower. */
export function etcdH2Load(etcd: EtcdCluster, plan: Plan, place: Place): Promise<Row[]> {
  const address = addressAt(etcd.addresses, place);
  const call = { address, path: ETCD_PUT_PATH, message: encodePut("bench/0", plan.value) };
  return h2Series(etcd, { target: "etcd", operation: `put, h2load unary at ${place}` }, call, plan.levels);
}
