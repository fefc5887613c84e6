import { encodePut, ETCD_PUT_PATH, type EtcdCluster } from "./etcd-cluster.js";
import { h2load } from "./h2load.js";
import {
  addressAt,
  counted,
  type H2LoadPlan,
  h2Row,
  measured,
  type Place,
  type Plan,
  type Row,
} from "./holdfast-load.js";
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
export async function etcdH2Load(
  etcd: EtcdCluster,
  plan: Plan,
  requests: H2LoadPlan,
  place: Place,
): Promise<Row> {
  const load = (count: number) =>
    h2load({
      address: addressAt(etcd.addresses, place),
      path: ETCD_PUT_PATH,
      message: encodePut("bench/0", plan.value),
      requests: count,
      clients: 4,
      streams: 16,
    });
  await load(requests.warm);
  const { result, cpu } = await counted(etcd, () => load(requests.measured));
  return h2Row("etcd", `put, h2load unary at ${place}`, result, 0, cpu);
}
