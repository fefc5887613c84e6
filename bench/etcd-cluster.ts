import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { freeBasePort } from "./ports.js";
import { Child, waitFor } from "./processes.js";

/** The few fields of etcd's v3 API that a put and a status need, in our own words. */
const root = protobuf.Root.fromJSON({
  nested: {
    Put: {
      fields: { key: { type: "bytes", id: 1 }, value: { type: "bytes", id: 2 } },
    },
    PutReply: { fields: {} },
    Status: { fields: {} },
    Header: { fields: { memberId: { type: "uint64", id: 2 } } },
    StatusReply: {
      fields: { header: { type: "Header", id: 1 }, leader: { type: "uint64", id: 4 } },
    },
  },
});
const Put = root.lookupType("Put");
const StatusReply = root.lookupType("StatusReply");
const nothing = () => Buffer.alloc(0);

/** Path of a put, for h2load. */
export const ETCD_PUT_PATH = "/etcdserverpb.KV/Put";

/** A put as it stands on the wire. */
export function encodePut(key: string, value: Uint8Array): Buffer {
  return Buffer.from(Put.encode({ key: Buffer.from(key), value }).finish());
}

/** A real three-node etcd. */
export interface EtcdCluster {
  /** Client addresses of all, the leader's first. */
  readonly addresses: readonly string[];
  readonly leader: Child;
  readonly followers: readonly Child[];
  put(key: string, value: Uint8Array): Promise<void>;
  stop(): Promise<void>;
}

/** Starts three etcd members with their defaults (fsync on) and finds the leader. */
export async function startEtcd(folder: string): Promise<EtcdCluster> {
  const base = await freeBasePort([0, 1, 2, 10, 11, 12]);
  const members = [0, 1, 2].map((i) => ({
    name: `e${i}`,
    client: `127.0.0.1:${base + i}`,
    peer: `http://127.0.0.1:${base + 10 + i}`,
  }));
  const initial = members.map((member) => `${member.name}=${member.peer}`).join(",");
  const children = members.map(
    (member) =>
      new Child(member.name, "etcd", [
        ...["--name", member.name, "--data-dir", join(folder, member.name)],
        ...["--listen-client-urls", `http://${member.client}`],
        ...["--advertise-client-urls", `http://${member.client}`],
        ...["--listen-peer-urls", member.peer, "--initial-advertise-peer-urls", member.peer],
        ...["--initial-cluster", initial, "--initial-cluster-token", "bench"],
      ]),
  );
  const clients = members.map(
    (member) => new Client(member.client, credentials.createInsecure(), { "grpc.enable_http_proxy": 0 }),
  );
  const stop = async () => {
    for (const client of clients) client.close();
    await Promise.all(children.map((child) => child.stop(5_000)));
  };
  try {
    const at = await waitFor("etcd's leader", children, 30_000, () => leaderAmong(clients));
    const client = clients[at] as Client;
    const addresses = members.map((member) => member.client);
    addresses.unshift(...addresses.splice(at, 1));
    return {
      addresses,
      leader: children[at] as Child,
      followers: children.filter((_, i) => i !== at),
      put: (key, value) => unary(client, ETCD_PUT_PATH, encodePut(key, value), 10_000).then(() => undefined),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Member ids need all 64 bits: a number, a bigint or protobufjs's own object, as it was read. */
interface Id {
  toString(): string;
}

function idText(id: Id | undefined): string {
  return id?.toString() ?? "0";
}

async function leaderAmong(clients: readonly Client[]): Promise<number | null> {
  for (const [i, client] of clients.entries()) {
    const bytes = await unary(client, "/etcdserverpb.Maintenance/Status", nothing(), 1_000);
    const reply = StatusReply.decode(bytes) as unknown as { leader?: Id; header?: { memberId?: Id } };
    const leader = idText(reply.leader);
    if (leader !== "0" && leader === idText(reply.header?.memberId)) return i;
  }
  return null;
}

function unary(client: Client, path: string, request: Buffer, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      request,
      { deadline: Date.now() + timeoutMs },
      (error, reply) => (error || !reply ? reject(error ?? new Error("no reply")) : resolve(reply)),
    );
  });
}
