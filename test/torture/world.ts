import assert from "node:assert/strict";
import { connectOver, type Session } from "../../src/client/index.js";
import { addressOf, ClusterNode, type ClusterParts } from "../../src/testing/cluster-world/cluster-node.js";
import { SimStreams } from "../../src/testing/cluster-world/stream-network.js";
import { MemoryShare } from "../../src/testing/memory-share.js";
import {
  CALM,
  SimClock,
  SimNetwork,
  SimPeerNetwork,
  SimProcess,
  Simulation,
} from "../../src/testing/sim/index.js";
import { v1 } from "../../src/wire/index.js";
import { guid, TortureClient } from "./client.js";
import { Gate } from "./gate.js";

const NODES = 3;
/** Takes over nothing; sessions of contenders stay here. */
export const ANCHOR = "n3";
/** Whoever is to lose its server starts here. */
export const HOME = "n1";
/** A step that takes longer than this is stuck. */
const STEP_LIMIT_MS = 60_000;

/** A cluster of three whole nodes in one thread under virtual time, calm but for what cases do to it. */
export class TortureWorld implements ClusterParts {
  readonly sim: Simulation;
  readonly network: SimNetwork<() => void>;
  readonly peers: SimPeerNetwork;
  readonly streams: SimStreams;
  readonly share: MemoryShare;
  readonly files: MemoryShare;
  readonly moreShares;
  /** Whether failovers kill servers; durable handles do not outlive that. */
  serversDie = false;
  readonly shareTimes = { meanUs: 30, hungUntilUs: 0 };
  readonly members: readonly v1.IMemberRecord[];
  readonly replica = {};
  readonly nodes: ClusterNode[] = [];
  readonly holders: TortureClient[] = [];
  readonly librarySessions: { readonly session: Session; readonly gate: Gate }[] = [];
  private nextPlace = 100;

  constructor(readonly seed: number) {
    this.sim = new Simulation(seed);
    const { seeds } = this.sim;
    this.network = new SimNetwork(this.sim, seeds.stream("network"), (_from, _to, run) => run());
    this.network.faults = { ...CALM, delayMeanUs: 100 };
    this.peers = new SimPeerNetwork(this.sim, this.network);
    this.streams = new SimStreams(this.sim, this.network, seeds.stream("streams"));
    this.streams.delayMeanUs = 100;
    const wallMs = (): number => Math.floor(this.sim.nowUs / 1000);
    this.share = new MemoryShare(wallMs);
    this.files = new MemoryShare(wallMs);
    this.moreShares = [
      { record: { name: "ca", continuouslyAvailable: true }, share: this.files },
      { record: { name: "plain" }, share: new MemoryShare(wallMs) },
      { record: { name: "so", scaleOut: true }, share: new MemoryShare(wallMs) },
      {
        record: { name: "masked", continuouslyAvailable: true, leaseMask: 3 },
        share: new MemoryShare(wallMs),
      },
    ];
    const ids = Array.from({ length: NODES }, (_, i) => i + 1);
    this.members = ids.map((raftId) => ({
      raftId,
      name: `n${raftId}`,
      incarnation: 1,
      grpcAddress: addressOf(raftId),
    }));
    for (const id of ids) this.nodes.push(new ClusterNode(id, this, 1));
  }

  get nowMs(): number {
    return this.sim.nowUs / 1000;
  }

  node(name: string): ClusterNode | undefined {
    return this.nodes.find((node) => node.name === name);
  }

  died(node: ClusterNode, reason: string): void {
    throw new Error(`${node.name} ended by itself: ${reason}`);
  }

  changedWithoutLease(node: ClusterNode, operation: string, path: string): void {
    throw new Error(`${node.name} had no lease: ${operation} ${path}`);
  }

  pass(ms: number): Promise<void> {
    return new Promise((go) => this.sim.after(ms * 1000, go));
  }

  /** Waits for a condition; what it waits for goes into the failure. */
  async until(what: string, condition: () => boolean, limitMs = STEP_LIMIT_MS): Promise<void> {
    const end = this.nowMs + limitMs;
    while (!condition()) {
      if (this.nowMs > end) assert.fail(`after ${limitMs} ms still not: ${what}`);
      await this.pass(5);
    }
  }

  /** Runs an asynchronous program in virtual time to its end. */
  async drive<T>(program: Promise<T>): Promise<T> {
    let done = false;
    const mark = (): void => {
      done = true;
    };
    program.then(mark, mark);
    await this.sim.runAsyncUntil(this.sim.nowUs + 600_000_000, () => done);
    assert(done, "the program does not end");
    return program;
  }

  leader(): ClusterNode | undefined {
    return this.nodes.find(({ replica }) => replica?.leader().ready === true);
  }

  /** The newest state that a node has applied. */
  get state() {
    const [newest] = this.nodes
      .flatMap(({ replica }) => (replica === null ? [] : [replica]))
      .sort((a, b) => b.appliedIndex - a.appliedIndex);
    assert(newest, "no node is running");
    return newest.state;
  }

  /** Starts all nodes and waits until they serve. */
  async start(): Promise<void> {
    for (const node of this.nodes) node.start();
    await this.until("all nodes are up", () => this.nodes.every(({ name }) => this.isUp(name)));
  }

  isUp(name: string): boolean {
    if (this.leader() === undefined) return false;
    const record = this.state.node(name);
    const lease = this.node(name)?.lease;
    return record?.status === v1.NodeStatus.NODE_UP && lease?.leftMs() !== undefined && lease.leftMs() > 0;
  }

  /** From now on nobody takes sessions over but the nodes that come and go. */
  async cordonAnchor(): Promise<void> {
    const leader = this.leader();
    assert(leader?.coordinator);
    const result = await leader.replica?.propose({
      scheduleNode: { node: ANCHOR, cordoned: true, reason: "test", requestedBy: "test" },
    });
    assert.equal(result?.error ?? null, null, JSON.stringify(result?.error));
  }

  async leadBy(node: ClusterNode): Promise<void> {
    for (let tries = 0; this.leader() !== node; tries++) {
      assert(tries < 10, `leadership does not move to ${node.name}`);
      await this.leader()?.replica?.transferLeadership(node.id);
      await this.pass(200);
      await this.until("somebody leads", () => this.leader() !== undefined);
    }
  }

  private process(): SimProcess {
    const { sim } = this;
    return new SimProcess(sim, new SimClock(sim, 1, 7_000), sim.seeds.stream(`client ${this.nextPlace}`));
  }

  gate(principal = "tester"): Gate {
    return new Gate(this.sim, this.streams.clientNetwork(this.nextPlace++, this.process(), principal));
  }

  /** A client that loses its server at each failover. */
  async holder(name: string, options: ClientChoices = {}): Promise<TortureClient> {
    const client = await this.client(name, HOME, options);
    this.holders.push(client);
    return client;
  }

  /** A client whose server stays. */
  other(name: string, options: ClientChoices = {}): Promise<TortureClient> {
    return this.client(name, ANCHOR, options);
  }

  private client(name: string, at: string, options: ClientChoices): Promise<TortureClient> {
    const home = addressOf(this.node(at)?.id ?? 0);
    const addresses = [home, ...this.nodes.map(({ id }) => addressOf(id)).filter((a) => a !== home)];
    const clientGuid = options.clientGuid ?? guid(name);
    return new TortureClient(this, name, clientGuid, options.principal ?? "tester", addresses).open(
      options.previousSessionId,
    );
  }

  /** The client library, which comes back by itself after each failover. */
  async library(name: string, channels = 1): Promise<Session> {
    const process = this.process();
    const gate = new Gate(this.sim, this.streams.clientNetwork(this.nextPlace++, process));
    const home = addressOf(this.node(HOME)?.id ?? 0);
    const session = await connectOver(gate.network, process.runtime(), {
      nodes: [home],
      clientName: name,
      deadlineMs: STEP_LIMIT_MS,
      witness: false,
      channels,
    });
    this.librarySessions.push({ session, gate });
    return session;
  }

  /** The way of a library's session to the cluster. */
  gateOf(session: Session): Gate {
    const found = this.librarySessions.find((known) => known.session === session);
    assert(found, "no session of this world");
    return found.gate;
  }

  /** Whether a file stands in a share; its content if it does. */
  content(path: string, share = "ca"): string | null {
    const found = this.moreShares.find(({ record }) => record.name === share)?.share;
    assert(found, `no share ${share}`);
    let at = found.root;
    for (const part of path.split("/")) {
      const next = at.names?.get(part);
      if (next === undefined) return null;
      at = next;
    }
    return new TextDecoder().decode(at.data);
  }
}

/** What a client may differ in. */
export interface ClientChoices {
  readonly principal?: string;
  readonly clientGuid?: Uint8Array;
  readonly previousSessionId?: number;
}
