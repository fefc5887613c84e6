import { Server, ServerCredentials } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { Message, MessageKind } from "../../src/raft/index.js";
import { memoryLog, memoryMeter, realScheduler } from "../../src/runtime/index.js";
import type { PeerEvents, PeerTarget } from "../../src/transport/api.js";
import {
  GrpcTransport,
  peerServerOptions,
  toWire,
  type SelfIdentity,
  type TransportOptions,
} from "../../src/transport/index.js";
import type { v1 } from "../../src/wire/index.js";
import { services } from "../../src/wire/services.js";

/** One member of a test: its transport, its server, and everything that it was told. */
export interface Node {
  readonly self: SelfIdentity;
  readonly port: number;
  readonly target: PeerTarget;
  readonly transport: GrpcTransport;
  readonly received: { readonly from: number; readonly frame: v1.IPeerFrame }[];
  readonly turns: number[];
  readonly connected: number[];
  readonly disconnected: { readonly peer: number; readonly reason: string }[];
  readonly refused: { readonly peer: number; readonly code: string }[];
  readonly log: ReturnType<typeof memoryLog>;
  readonly meter: ReturnType<typeof memoryMeter>;
  readonly stop: () => Promise<void>;
}

export interface NodeSetup {
  readonly self?: Partial<SelfIdentity>;
  readonly port?: number;
  readonly onSnapshot?: PeerEvents["onSnapshot"];
  readonly admit?: (said: { raftId: number; incarnation: number; diskId: string }) => string | null;
  readonly options?: Partial<TransportOptions>;
}

export async function startNode(raftId: number, setup: NodeSetup = {}): Promise<Node> {
  const self: SelfIdentity = {
    clusterId: "c1",
    raftId,
    incarnation: 1,
    name: `n${raftId}`,
    diskId: `disk-${raftId}`,
    ...setup.self,
  };
  const told = { received: [] as Node["received"][0][], turns: [] as number[] };
  const connected: number[] = [];
  const disconnected: { peer: number; reason: string }[] = [];
  const refused: { peer: number; code: string }[] = [];
  const log = memoryLog();
  const meter = memoryMeter();
  const transport = new GrpcTransport({
    self,
    events: {
      onFrames: (from, frames) => {
        told.turns.push(frames.length);
        for (const frame of frames) told.received.push({ from, frame });
      },
      onConnected: (peer) => connected.push(peer),
      onDisconnected: (peer, reason) => disconnected.push({ peer, reason }),
      onRefused: (peer, refusal) => refused.push({ peer, code: refusal.codeName }),
      onSnapshot: setup.onSnapshot ?? (() => null),
    },
    admit: setup.admit ?? (() => null),
    scheduler: realScheduler,
    log,
    meter,
    options: { handshakeTimeoutMs: 300, ...setup.options },
  });
  const server = new Server(peerServerOptions());
  server.addService(services.Peer, transport.handlers);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${setup.port ?? 0}`, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return {
    self,
    port,
    target: { raftId, address: `127.0.0.1:${port}`, name: self.name },
    transport,
    ...told,
    connected,
    disconnected,
    refused,
    log,
    meter,
    stop: async () => {
      await transport.close();
      server.forceShutdown();
    },
  };
}

/** Polls until `holds`; fails with `what` after `withinMs`. */
export async function until(what: string, holds: () => boolean, withinMs = 15_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!holds()) {
    assert(performance.now() < deadline, `not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A heartbeat as a frame, numbered by its commit. */
export function heartbeat(from: number, to: number, commit = 0): v1.IPeerFrame {
  const message = new Message(MessageKind.Heartbeat, from, to, 1);
  message.commit = commit;
  return { raft: { messages: [toWire(message)] } };
}

/** The commits of all core messages that a node was given. */
export function commitsOf(node: Node): number[] {
  return node.received.flatMap(({ frame }) =>
    (frame.raft?.messages ?? []).map((message) => message.commit ?? 0),
  );
}

/** Those of tests that run beside others are their own: see `freePorts` of the integration tests. */
const LANE_PORTS = 2_500;
const lane = Number(process.env["HOLDFAST_TEST_LANE"] ?? 0);
let portsTried = 0;

/**
 * A port on which nothing listens, below the range from which the system gives ports to outgoing connections: those come
 * and go by the hundred while links are dialled, and one could take the port before its server does.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + lane * LANE_PORTS + ((process.pid * 31 + portsTried++) % LANE_PORTS);
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
}
