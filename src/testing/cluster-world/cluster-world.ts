import type { ClientNetwork } from "../../client/transport-api.js";
import type { v1 } from "../../wire/index.js";
import {
  ElectionSafety,
  ExactlyOnce,
  LockExclusion,
  Ownership,
  type Registered,
  StateDigest,
  WitnessPromises,
} from "../checkers/index.js";
import { LogOracle } from "../log-oracle/index.js";
import type { ReplicaNode } from "../../replica/replica.js";
import { NODE_EXIT } from "../../node/exit-codes.js";
import { ErrorCode } from "../../wire/errors.js";
import { MemoryShare } from "../memory-share.js";
import {
  CALM,
  SimClock,
  SimNetwork,
  SimPeerNetwork,
  SimProcess,
  Simulation,
  Violation,
} from "../sim/index.js";
import type { Prng } from "../sim/prng.js";
import { ClusterClient, type Place, RECORD_BYTES, text } from "./cluster-client.js";
import { ClusterFaults } from "./cluster-faults.js";
import { DiskDamage } from "./disk-damage.js";
import { ClusterOperator } from "./cluster-operator.js";
import { addressOf, ClusterNode, type ClusterParts } from "./cluster-node.js";
import { type ClusterSettings, drawClusterSettings } from "./cluster-settings.js";
import { Population } from "./population.js";
import { calm } from "./scenes.js";
import { SimStreams } from "./stream-network.js";

/** Virtual time within which a healed cluster must serve everybody again. */
export const CLUSTER_BOUND_US = 60_000_000;
/** The longest deadline of clients whose patience is not the point (`EditClient`), and what a step of theirs takes besides. */
const CALLS_BOUND_US = 20_000_000;
/** Network places of clients, apart from the nodes' ids. */
const CLIENT_PLACE = 100;

type NameState = "creating" | "there" | "removing" | "gone";

/**
 * The whole product but gRPC and RocksDB: replica, state machine, storage, coordinator, leases, file nodes and the
 * client library, on simulated disks, clocks, links and a shared directory in memory.
 */
export class ClusterWorld implements ClusterParts {
  readonly sim: Simulation;
  readonly settings: ClusterSettings;
  readonly network: SimNetwork<() => void>;
  readonly peers: SimPeerNetwork;
  readonly streams: SimStreams;
  readonly share: MemoryShare;
  /** Not scale-out: leases of every state are granted here, and contenders of absent holders wait. */
  readonly leased: MemoryShare;
  readonly moreShares;
  readonly oracle = new LogOracle((error) => this.fail(error));
  readonly shareTimes;
  readonly members: readonly v1.IMemberRecord[];
  readonly replica;
  readonly nodes: ClusterNode[] = [];
  readonly clients: ClusterClient[] = [];
  readonly population = new Population(this);
  readonly locks = new LockExclusion();
  readonly addresses: readonly string[];
  private readonly elections = new ElectionSafety();
  private readonly digests = new StateDigest();
  private readonly ownership = new Ownership();
  private readonly witnesses = new WitnessPromises();
  private readonly appends = new ExactlyOnce();
  private readonly appendAt = new Map<string, number | null>();
  private readonly names = new Map<string, NameState>();
  private readonly places_ = new Map<string, Place>();
  readonly faults: ClusterFaults;
  readonly damage: DiskDamage;
  private readonly operator: ClusterOperator;
  private readonly clocks: Prng;
  private readonly checkedAt = new Map<number, number>();
  private failure: unknown = null;
  hostile = true;
  writes = 0;
  reads = 0;

  /** With `scenes`, the faults and clients are those of the scenes alone. */
  constructor(
    seed: number,
    readonly scenes = false,
  ) {
    this.sim = new Simulation(seed);
    const { seeds } = this.sim;
    const drawn = drawClusterSettings(seeds.stream("swarm"));
    const settings = scenes ? calm(drawn) : drawn;
    this.settings = settings;
    this.network = new SimNetwork(this.sim, seeds.stream("network"), (_from, _to, run) => run());
    this.network.faults = { ...CALM, delayMeanUs: settings.networkDelayMeanUs, lossRate: settings.lossRate };
    this.peers = new SimPeerNetwork(this.sim, this.network);
    this.streams = new SimStreams(this.sim, this.network, seeds.stream("streams"));
    this.streams.delayMeanUs = settings.networkDelayMeanUs;
    this.streams.refuseRate = settings.refuseRate;
    this.streams.observer = {
      answered: (node, session, startUs, request, response) =>
        this.guard(() => this.answered(node, session, startUs, request, response)),
      noticed: (node, registered, request, notice) =>
        this.guard(() => this.noticed(node, registered, request, notice)),
    };
    this.share = new MemoryShare(() => Math.floor(this.sim.nowUs / 1000));
    this.leased = new MemoryShare(() => Math.floor(this.sim.nowUs / 1000));
    this.moreShares = [{ record: { name: "ca", continuouslyAvailable: true }, share: this.leased }];
    this.shareTimes = { meanUs: settings.shareMeanUs, hungUntilUs: 0 };
    const ids = Array.from({ length: settings.nodes }, (_, i) => i + 1);
    this.addresses = ids.map(addressOf);
    this.members = ids.map((raftId) => ({
      raftId,
      name: `n${raftId}`,
      incarnation: 1,
      grpcAddress: addressOf(raftId),
    }));
    this.replica = {
      compactEntries: settings.compactEntries,
      compactKeepEntries: Math.min(5_000, Math.floor(settings.compactEntries / 4)),
      snapshotChunkBytes: settings.snapshotChunkBytes,
      inflightMessagesMax: settings.inflightMessagesMax,
    };
    this.faults = new ClusterFaults(this, seeds.stream("faults"));
    this.damage = new DiskDamage(this);
    this.operator = new ClusterOperator(this, seeds.stream("operator"));
    this.clocks = seeds.stream("clocks");
    for (const id of ids) this.makeNode(id, false);
    this.sim.tally.situation(`cluster of ${settings.nodes}`);
  }

  private makeNode(id: number, joins: boolean): ClusterNode {
    const { driftMax, kv } = this.settings;
    const node = new ClusterNode(id, this, 1 + driftMax * (2 * this.clocks.fraction() - 1), joins);
    node.disk.faults = kv;
    this.damage.prepare(node);
    this.nodes.push(node);
    return node;
  }

  /** A machine more, with an empty disk; it does not run yet and is nobody's member. */
  addNode(): ClusterNode {
    return this.makeNode(this.nodes.length + 1, true);
  }

  /** A member was removed: its process ends, and nobody starts it again. */
  retire(id: number): void {
    const node = this.nodes.find((each) => each.id === id);
    if (node === undefined) return;
    this.sim.tally.situation("member removed and stopped");
    node.crash(false);
    node.retired = true;
  }

  /** The replica that leads and may propose, if there is one. */
  leader(): ReplicaNode | null {
    const leading = this.nodes.find((node) => !node.paused && node.replica?.leader().ready === true);
    return leading?.replica ?? null;
  }

  node(name: string): ClusterNode | undefined {
    return this.nodes.find((node) => node.name === name);
  }

  /** Everything that partitions can come between. */
  places(): number[] {
    const clients = this.clients.map(({ id }) => CLIENT_PLACE + id);
    return [...this.nodes.map(({ id }) => id), ...clients, ...this.population.places()];
  }

  clientNetwork(client: ClusterClient): ClientNetwork {
    return this.streams.clientNetwork(CLIENT_PLACE + client.id, client.process);
  }

  pause(us: number): Promise<void> {
    return new Promise((go) => this.sim.after(us, go));
  }

  get remembersDisks(): boolean {
    return this.damage.on;
  }

  died(node: ClusterNode, reason: string, exitCode: number): void {
    if (exitCode === NODE_EXIT.dataDamaged) {
      this.damage.condemned(node, reason);
      return;
    }
    if (exitCode !== NODE_EXIT.diskFailed && exitCode !== NODE_EXIT.dataUnwritable) {
      this.fail(new Violation("node died", `${node.name}: ${reason}`));
      return;
    }
    const full = exitCode === NODE_EXIT.dataUnwritable;
    this.sim.tally.situation(full ? "start refused: disk full" : "node stopped because its disk failed");
    node.crash(!full);
    this.faults.restartLater(node);
  }

  /** A member whose disk is lost makes room for another one. */
  replaceMember(node: ClusterNode): Promise<void> {
    return this.operator.replace(node);
  }

  changedWithoutLease(node: ClusterNode, operation: string, path: string): void {
    this.fail(new Violation("change without a lease", `${node.name}: ${operation} ${path}`));
  }

  /**
   * An answer without an error was let through: the node has served from the request's arrival until now. A ping and a cancel
   * are answered with nothing but that they were heard; what was cancelled has an answer of its own.
   */
  private answered(
    node: string,
    session: v1.ISessionRecord | null,
    startUs: number,
    request: v1.IFileRequest,
    response: v1.IFileResponse,
  ): void {
    this.onFullDisk(request, response);
    if (session === null || response.error || request.ping || request.cancel) return;
    const owner = `${node}/${session.ownerIncarnation}`;
    this.ownership.served(String(session.id), session.epoch ?? 0, owner, startUs, this.sim.nowUs);
  }

  /** What frees space, or keeps what was promised, works on the space that was set aside for it. */
  private onFullDisk(request: v1.IFileRequest, response: v1.IFileResponse): void {
    const { close, closeSession, reconnect, attach } = request;
    if (!close && !closeSession && !reconnect && !attach?.resume) return;
    if (response.error?.code === ErrorCode.DISK_FULL)
      throw new Violation(
        "reserved space",
        `${Object.keys(request).join()} refused on a full disk: ${response.error.message}`,
      );
    const full = this.nodes.some(({ guard, replica }) => guard?.full === true && replica?.leader().ready);
    if (full && !response.error)
      this.sim.tally.situation(close ? "closed on a full disk" : "resumed on a full disk");
  }

  private noticed(
    node: string,
    registered: Registered,
    request: v1.IWitnessRequest,
    notice: v1.IWitnessNotice,
  ): void {
    const session = this.node(node)?.replica?.state.session(request.sessionId ?? 0);
    const known = session === undefined ? null : { owner: session.owner ?? "", epoch: session.epoch ?? 0 };
    this.witnesses.notice(node, registered, notice, known);
    const { tally } = this.sim;
    if (notice.registrationId) tally.situation("witness took a registration");
    if (notice.error) tally.situation("witness ended a registration");
    if (notice.move && (notice.move.epoch ?? 0) > 1) tally.situation("witness told of a move");
    if (notice.changes?.some((change) => !change.available)) tally.situation("witness told of a dead node");
  }

  /** A node that crashed comes back after a while. */
  restartLater(node: ClusterNode): void {
    this.faults.restartLater(node);
  }

  noteCrash(node: ClusterNode): void {
    if (node.replica?.leader().isLeader === true) this.sim.tally.situation("leader killed");
    const owned = node.replica === null ? 0 : [...node.replica.state.sessionsOf(node.name)].length;
    if (owned > 0) this.sim.tally.situation("owner of sessions killed");
  }

  /** Remembers the first thing that was wrong; it ends the run. */
  fail(error: unknown): void {
    this.failure ??= error;
  }

  guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.fail(error);
    }
  }

  place(name: string): Place {
    let place = this.places_.get(name);
    if (place === undefined) {
      place = { certain: "", possible: new Set() };
      this.places_.set(name, place);
    }
    return place;
  }

  appended(value: string, offset: number | null): void {
    this.appendAt.set(value, offset);
    if (offset !== null) this.appends.acknowledge(value);
  }

  named(name: string, state: NameState): void {
    this.names.set(name, state);
  }

  /** After each event: what every node says about itself. */
  private check(): void {
    this.damage.check();
    for (const node of this.nodes) {
      const { replica, machine } = node;
      if (replica === null || machine === null) continue;
      const { isLeader, term } = replica.leader();
      if (isLeader) this.elections.leads(node.id, term);
      const { appliedIndex } = replica;
      if (this.checkedAt.get(node.id) === appliedIndex) continue;
      this.checkedAt.set(node.id, appliedIndex);
      const digest = machine.digest();
      this.sim.trace.event(this.sim.nowUs, "applied", node.id, appliedIndex, digest, 0);
      this.digests.observe(node.id, appliedIndex, digest);
      for (const session of replica.state.sessions()) {
        const owner = `${session.owner}/${session.ownerIncarnation}`;
        this.ownership.owns(String(session.id), Number(session.epoch ?? 0), owner);
        if (Number(session.epoch ?? 0) > 1) this.sim.tally.situation("session changed its owner");
      }
    }
  }

  private async advance(untilUs: number, done: () => boolean = () => false): Promise<void> {
    await this.sim.runAsyncUntil(untilUs, () => {
      this.guard(() => this.check());
      return this.failure !== null || done();
    });
    if (this.failure !== null) throw this.failure;
  }

  /** Faults and work, then work on a healed cluster, then a look at everything that was promised. */
  async run(): Promise<void> {
    for (const node of this.nodes) node.start();
    for (let id = 1; id <= this.settings.clients; id++) {
      const prng = this.sim.seeds.stream(`client ${id}`);
      const clock = new SimClock(this.sim, 1, 5_000);
      const process = new SimProcess(this.sim, clock, this.sim.seeds.stream(`client process ${id}`));
      const client = new ClusterClient(id, this, process, prng);
      this.clients.push(client);
      this.population.calls.follow(`client ${id}`, client.run()).catch((error: unknown) => this.fail(error));
    }
    this.population.start();
    this.faults.start();
    this.damage.start();
    this.operator.start();
    await this.advance(this.settings.safetyUs);
    this.population.stop();
    this.heal();
    const healedUs = this.sim.nowUs;
    this.operator.settle().catch((error: unknown) => this.fail(error));
    await this.serveAll();
    await this.quiesce();
    await this.endCalls(healedUs);
    this.inspectShare();
    this.population.check();
  }

  private heal(): void {
    this.hostile = false;
    this.network.faults = CALM;
    this.network.heal();
    this.streams.refuseRate = 0;
    this.shareTimes.hungUntilUs = 0;
    for (const node of this.nodes) {
      const { faults } = node.disk;
      node.disk.faults = { ...faults, stallRate: 0, syncErrorRate: 0 };
      node.disk.hungUntilUs = 0;
      node.diskLow = false;
      node.disk.space.empty();
      node.pause(false);
      node.start();
    }
  }

  /** Every client must get operations done again. */
  private async serveAll(): Promise<void> {
    const goals = this.clients.map((client) => client.succeeded + 5);
    const served = (): boolean => this.clients.every((client, i) => client.succeeded >= (goals[i] as number));
    const begun = this.sim.nowUs;
    await this.advance(begun + CLUSTER_BOUND_US, served);
    if (!served()) {
      const behind = this.clients
        .filter((client, i) => client.succeeded < (goals[i] as number))
        .map(({ id }) => id);
      throw new Violation(
        "liveness",
        `clients ${behind.join(", ")} get nothing done ${CLUSTER_BOUND_US / 1e6} s after the faults`,
      );
    }
    this.sim.tally.situation("everybody served after the faults");
  }

  private async quiesce(): Promise<void> {
    for (const client of this.clients) client.stopped = true;
    let applied = "nothing";
    let running: string[] = [];
    let full: ClusterNode | undefined;
    const deadline = this.sim.nowUs + CLUSTER_BOUND_US;
    while (this.sim.nowUs < deadline) {
      await this.advance(this.sim.nowUs + 500_000);
      const leader = this.leader();
      if (leader === null) continue;
      const members = this.membersOf(leader);
      applied = members.map(({ replica }) => replica?.appliedIndex ?? -1).join();
      const agreed = members.every(({ replica }) => replica?.appliedIndex === leader.appliedIndex);
      running = this.operator.running(leader);
      // A write that found no space may say so a moment after there is room again; the guard's next look ends it.
      full = members.find(({ guard }) => guard?.full);
      if (agreed && this.damage.settled && running.length === 0 && full === undefined) {
        this.sim.tally.situation("nodes agree after the faults");
        this.operator.countEnded(leader);
        return;
      }
    }
    if (full !== undefined) throw new Violation("liveness", `${full.name} still holds its disk for full`);
    const lost = this.damage.settled ? "" : "; a lost disk was not replaced";
    if (running.length > 0) throw new Violation("liveness", `${running.join(", ")} at the end`);
    throw new Violation("liveness", `the nodes have applied ${applied} and do not agree${lost}`);
  }

  /** Nobody waits any more for an answer to what was asked before the faults ended. */
  private async endCalls(healedUs: number): Promise<void> {
    const { calls } = this.population;
    if (!calls.ended) await this.advance(healedUs + CALLS_BOUND_US, () => calls.ended);
    calls.check(this.sim.nowUs - healedUs);
  }

  /** The nodes of the present configuration; one that was removed does not count, whether it knows of that or not. */
  private membersOf(leader: ReplicaNode): ClusterNode[] {
    const { voters, votersOutgoing, learners } = leader.raft.status().config;
    const ids = new Set([...voters, ...votersOutgoing, ...learners]);
    if (votersOutgoing.length > 0) throw new Violation("liveness", "the configuration is still joint");
    return this.nodes.filter(({ id }) => ids.has(id));
  }

  /** What the clients were promised, compared with what lies in the share. */
  private inspectShare(): void {
    const files = this.share.root.names ?? new Map<string, { readonly data: Uint8Array }>();
    for (const [name, state] of this.names) {
      if (state === "there" && !files.has(name)) {
        throw new Violation("acknowledged write lost", `file ${name} was created and is not there`);
      }
      if (state === "gone" && files.has(name)) {
        throw new Violation("acknowledged write lost", `file ${name} was removed and is there`);
      }
    }
    const data = files.get("log")?.data ?? new Uint8Array();
    for (let offset = 0; offset + RECORD_BYTES <= data.length; offset += RECORD_BYTES) {
      const value = text(data.subarray(offset, offset + RECORD_BYTES));
      if (!this.appendAt.has(value)) {
        throw new Violation("file contents", `the log holds "${value}" at ${offset}, which nobody appended`);
      }
      this.appends.executes(value, `offset ${offset}`);
      const told = this.appendAt.get(value);
      if (typeof told === "number" && told !== offset) {
        throw new Violation(
          "file contents",
          `append ${value} was answered with offset ${told} and stands at ${offset}`,
        );
      }
    }
    this.appends.finish();
  }
}
