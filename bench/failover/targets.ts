import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectKeys, type ResumeKeys } from "../../src/client/index.js";
import { v1 } from "../../src/wire/index.js";
import { freePorts, TestCluster, until } from "../../test/integration/cluster.js";
import { LOAD_KEYS, PROBE_KEYS, type Store, UnaryStore, type UnaryMethod } from "./probe.js";

const VALUE = new Uint8Array(256).fill(7);
const OWNER = { server: "bench", incarnation: 1 };

/** A three-node cluster under measurement. */
export interface Target {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly store: Store;
  leader(): Promise<string>;
  /** The highest term that a member knows; it grows with each election. Zero where it is not asked for. */
  term(): Promise<number>;
  kill(address: string, signal: NodeJS.Signals): void;
  /** Starts what was killed and waits until it takes part again. */
  revive(address: string): Promise<void>;
  destroy(): Promise<void>;
}

/** Holdfast as users start it, one process a node. */
export async function holdfastTarget(
  name: string,
  options: Readonly<Record<string, number>> = {},
): Promise<Target> {
  const cluster = await TestCluster.start(3, options);
  const owner = { node: OWNER.server, nodeIncarnation: OWNER.incarnation };
  const method: UnaryMethod = {
    path: "/holdfast.v1.Coordinator/StoreKey",
    request: (key) => v1.StoreKey.encode({ key, ...owner, epoch: 1, state: VALUE }).finish(),
    accepts: (bytes) => !v1.CommandResult.decode(bytes).error,
  };
  const store = new UnaryStore(method);
  const keys = await claimKeys(cluster);
  const byAddress = (address: string) => cluster.nodes.find((node) => node.grpc === address)?.name ?? "";
  return {
    name,
    addresses: cluster.nodes.map((node) => node.grpc),
    store,
    leader: async () => cluster.node(await cluster.leader()).grpc,
    term: async () => {
      const rows = await cluster.items<{ term: number | null }>("status");
      return Math.max(0, ...rows.map((row) => row.term ?? 0));
    },
    kill: (address, signal) => cluster.signal(byAddress(address), signal),
    async revive(address) {
      const node = byAddress(address);
      await cluster.kill(node);
      cluster.startNode(node);
      await cluster.untilReady();
    },
    async destroy() {
      store.close();
      keys.close();
      await cluster.destroy();
    },
  };
}

/** Claims every key that the probes write, in the name of a file server that stays alive meanwhile. */
async function claimKeys(cluster: TestCluster): Promise<ResumeKeys> {
  const keys = connectKeys({ nodes: cluster.nodes.map((node) => node.grpc), ...OWNER });
  const names = [
    ...Array.from({ length: PROBE_KEYS }, (_, i) => `probe-${i}`),
    ...Array.from({ length: LOAD_KEYS }, (_, i) => `load-${i}`),
  ];
  await Promise.all(names.map((name) => keys.claim(name, VALUE)));
  return keys;
}

/** Varint-length-prefixed field of wire type 2. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  const head = [number * 8 + 2];
  for (let n = bytes.length; ; n >>>= 7) {
    if (n < 128) {
      head.push(n);
      break;
    }
    head.push((n & 127) | 128);
  }
  return Buffer.concat([Uint8Array.from(head), bytes]);
}

/** etcd as packaged, three members on loopback. Null when it is not installed. */
export async function etcdTarget(
  name: string,
  heartbeatMs: number,
  electionMs: number,
): Promise<Target | null> {
  const ports = await freePorts(6);
  const folder = mkdtempSync(join(tmpdir(), "holdfast-etcd-"));
  const members = [0, 1, 2].map((i) => ({
    name: `e${i}`,
    client: `127.0.0.1:${ports[i]}`,
    peer: `127.0.0.1:${ports[i + 3]}`,
  }));
  const initial = members.map((each) => `${each.name}=http://${each.peer}`).join(",");
  const running = new Map<string, ChildProcess>();
  const start = (member: (typeof members)[number], state: string): void => {
    const url = (address: string) => `http://${address}`;
    const args = [
      "--name",
      member.name,
      "--data-dir",
      join(folder, member.name),
      "--initial-cluster",
      initial,
    ];
    args.push(
      "--initial-cluster-state",
      state,
      "--heartbeat-interval",
      String(heartbeatMs),
      "--election-timeout",
      String(electionMs),
    );
    args.push("--listen-client-urls", url(member.client), "--advertise-client-urls", url(member.client));
    args.push("--listen-peer-urls", url(member.peer), "--initial-advertise-peer-urls", url(member.peer));
    const child = spawn("etcd", args, { stdio: "ignore" });
    child.once("error", () => running.delete(member.client));
    running.set(member.client, child);
  };
  for (const member of members) start(member, "new");
  const method: UnaryMethod = {
    path: "/etcdserverpb.KV/Put",
    request: (key) => Buffer.concat([field(1, Buffer.from(key)), field(2, VALUE)]),
    accepts: () => true,
  };
  const store = new UnaryStore(method);
  const destroy = async (): Promise<void> => {
    store.close();
    for (const child of running.values()) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGCONT");
      if (child.exitCode === null && child.kill("SIGKILL")) await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await until("etcd answers", 20_000, () => store.put(members[0]?.client ?? "", "first", 1_000));
  } catch {
    await destroy();
    return null;
  }
  return {
    name,
    addresses: members.map((each) => each.client),
    store,
    leader: () => until("etcd has a leader", 10_000, () => etcdLeader(members.map((each) => each.client))),
    term: () => Promise.resolve(0),
    kill: (address, signal) => void running.get(address)?.kill(signal),
    async revive(address) {
      const child = running.get(address);
      child?.kill("SIGCONT");
      if (child !== undefined && child.exitCode === null && child.signalCode === null) {
        const gone = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await gone;
      }
      start(members.find((each) => each.client === address) as (typeof members)[number], "existing");
      await until("etcd member is back", 20_000, () => store.put(address, "back", 1_000));
    },
    destroy,
  };
}

/** Asks each member's status endpoint whether it is the leader: member id equals leader id. */
async function etcdLeader(addresses: readonly string[]): Promise<string | undefined> {
  for (const address of addresses) {
    try {
      const response = await fetch(`http://${address}/v3/maintenance/status`, {
        method: "POST",
        body: "{}",
        signal: AbortSignal.timeout(1_000),
      });
      const status = (await response.json()) as { header?: { member_id?: string }; leader?: string };
      if (status.leader !== undefined && status.leader === status.header?.member_id) return address;
    } catch {
      // A member that is down cannot be asked; another one leads.
    }
  }
  return undefined;
}
