import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, credentials } from "@grpc/grpc-js";
import { localConfig, localNodes } from "../src/cli/local-cluster.js";
import { NODE_ENVIRONMENT, NODE_FLAGS } from "../src/node/process-settings.js";
import { v1 } from "../src/wire/index.js";
import { services } from "../src/wire/services.js";
import { freeBasePort } from "./ports.js";
import { Child, waitFor } from "./processes.js";

/** A real cluster of three processes in a folder of its own. */
export interface HoldfastCluster {
  /** gRPC addresses, the leader's first. */
  readonly addresses: readonly string[];
  readonly leader: Child;
  readonly followers: readonly Child[];
  stop(): Promise<void>;
}

const bin = fileURLToPath(new URL("../../bin/holdfast.js", import.meta.url));

/** Starts three nodes and waits until one leads and all are ready. `profile`: folder for CPU profiles. */
export async function startHoldfast(folder: string, profile: string | null): Promise<HoldfastCluster> {
  const nodes = localNodes(folder, await freeBasePort([0, 1, 2, 100, 101, 102]));
  const share = join(folder, "share");
  mkdirSync(share, { recursive: true });
  for (const node of nodes) {
    mkdirSync(node.data, { recursive: true });
    writeFileSync(node.config, localConfig(node, nodes, share));
  }
  const profiling = profile === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
  const flags = [...NODE_FLAGS, ...profiling];
  const children = nodes.map(
    (node) =>
      new Child(
        node.name,
        process.execPath,
        [...flags, bin, "node", "--config", node.config],
        NODE_ENVIRONMENT,
      ),
  );
  try {
    for (const node of nodes)
      await waitFor(`${node.name} to be ready`, children, 60_000, async () =>
        (await fetch(`http://${node.http}/readyz`)).ok ? true : null,
      );
    const states = await Promise.all(nodes.map((node) => statusOf(node.grpc)));
    const at = states.findIndex((state) => state.role === "leader");
    if (at < 0) throw new Error("no node says that it leads");
    const addresses = nodes.map((node) => node.grpc);
    addresses.unshift(...addresses.splice(at, 1));
    return {
      addresses,
      leader: children[at] as Child,
      followers: children.filter((_, i) => i !== at),
      stop: async () => {
        await Promise.all(children.map((child) => child.stop()));
      },
    };
  } catch (error) {
    await Promise.all(children.map((child) => child.stop(1_000)));
    throw error;
  }
}

function statusOf(address: string): Promise<v1.INodeState> {
  const client = new Client(address, credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
  const method = services.Admin["GetStatus"];
  if (method === undefined) throw new Error("Admin.GetStatus is not in the service table");
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      (message: v1.IGetStatusRequest) => method.requestSerialize(message),
      (bytes) => method.responseDeserialize(bytes) as v1.INodeState,
      new v1.GetStatusRequest(),
      { deadline: Date.now() + 5_000 },
      (error, state) => {
        client.close();
        if (error || !state) reject(error ?? new Error("no status"));
        else resolve(state);
      },
    );
  });
}
