import { coordinatorDefaults, createCoordinator, localCoordinatorClient } from "../../coordinator/index.js";
import { Transfers } from "../../coordinator/transfers.js";
import { Witness } from "../../coordinator/witness.js";
import { EFFECTS_FOLDER } from "../../filenode/paths.js";
import { createFileNode } from "../../filenode/file-node.js";
import { type HeartbeatNetwork, LeaseKeeper } from "../../filenode/lease-keeper.js";
import type { Coordinator } from "../../coordinator/index.js";
import type { KvStore, Runtime } from "../../runtime/api.js";
import { createReplica, type ReplicaConfig, replicaDefaults } from "../../replica/index.js";
import type { ReplicaNode } from "../../replica/replica.js";
import { createStateMachine, type StateMachine } from "../../state/index.js";
import { DiskGuard, FOUNDED_AT, NodeStorage } from "../../storage/index.js";
import type { v1 } from "../../wire/index.js";
import type { LogOracle } from "../log-oracle/index.js";
import type { MemoryShare } from "../memory-share.js";
import {
  SimClock,
  SimDisk,
  type SimNetwork,
  type SimPeerNetwork,
  SimProcess,
  type Simulation,
} from "../sim/index.js";
import { type ShareTimes, processVfs } from "./sim-vfs.js";
import type { SimStreams } from "./stream-network.js";

/** What the nodes of one cluster share. */
export interface ClusterParts {
  readonly sim: Simulation;
  readonly network: SimNetwork<() => void>;
  readonly peers: SimPeerNetwork;
  readonly streams: SimStreams;
  readonly share: MemoryShare;
  readonly shareTimes: ShareTimes;
  readonly members: readonly v1.IMemberRecord[];
  readonly replica: Partial<ReplicaConfig>;
  /** Shares beside "demo", each a directory of its own. */
  readonly moreShares?: readonly { readonly record: v1.IShareRecord; readonly share: MemoryShare }[];
  /** Sees every command that any node applies; see `LogOracle`. */
  readonly oracle?: LogOracle;
  node(name: string): ClusterNode | undefined;
  /** A node's process ended by itself: its disk failed. */
  died(node: ClusterNode, reason: string): void;
  /** A node hands a change of somebody's file to the kernel while it holds no lease. */
  changedWithoutLease(node: ClusterNode, operation: string, path: string): void;
}

/** Sizes that fit a simulated node, which writes little. */
const GUARDED = {
  reserveBytes: 256 * 1024,
  fullBytes: 512 * 1024,
  recoveredBytes: 1024 * 1024,
  intervalMs: 1_000,
  fullIntervalMs: 250,
};

/** Where a node is reached. */
export function addressOf(id: number): string {
  return `10.0.0.${id}:7401`;
}

/** One node with both roles: disk, clock, and a process that comes and goes. */
export class ClusterNode {
  readonly name: string;
  readonly disk: SimDisk;
  readonly clock: SimClock;
  life = 0;
  process: SimProcess | null = null;
  replica: ReplicaNode | null = null;
  coordinator: Coordinator | null = null;
  lease: LeaseKeeper | null = null;
  transfers: Transfers | null = null;
  machine: StateMachine | null = null;
  diskLow = false;
  /** Watches the disk of the present process; it declares a full one before or after a write has failed. */
  guard: DiskGuard | null = null;
  paused = false;
  /** Removed from the members, and stopped for good. */
  retired = false;

  constructor(
    readonly id: number,
    private readonly parts: ClusterParts,
    rate: number,
    /** It is added to a cluster that is there: it starts with nobody, and gets its members by a snapshot. */
    private readonly joins = false,
  ) {
    const { sim } = parts;
    this.name = `n${id}`;
    this.disk = new SimDisk(sim, sim.seeds.stream(`disk ${id}`));
    this.clock = new SimClock(sim, rate, 1_000 * id);
  }

  get running(): boolean {
    return this.process !== null;
  }

  /** Starts a process; what goes wrong on the way ends it. */
  start(): void {
    if (this.process !== null || this.retired) return;
    this.life++;
    const { sim } = this.parts;
    const process = new SimProcess(sim, this.clock, sim.seeds.stream(`process ${this.id}.${this.life}`));
    this.process = process;
    this.boot(process).catch((error: unknown) => {
      if (process.alive)
        this.parts.died(this, error instanceof Error ? (error.stack ?? error.message) : String(error));
    });
  }

  private async boot(process: SimProcess): Promise<void> {
    const { parts, name, id } = this;
    const runtime = process.runtime();
    const guard = this.guardDisk(runtime);
    // Before the database: with a full disk it opens on what was set aside.
    await guard.start();
    const storage = await NodeStorage.open(boundStore(this.disk.store(), process), runtime);
    if (storage.identity === null) {
      const identity = { clusterId: "sim", name, raftId: id, incarnation: 1 };
      const nobody = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
      const voters = parts.members.map(({ raftId }) => raftId ?? 0);
      if (this.joins) await storage.initialise(identity, nobody);
      else await storage.initialise(identity, { ...nobody, voters }, FOUNDED_AT);
    }
    const replica = await createReplica({
      runtime,
      config: {
        ...replicaDefaults,
        raftId: id,
        name,
        clusterId: "sim",
        initialMembers: parts.members,
        shares: [
          { name: "demo", continuouslyAvailable: true, scaleOut: true },
          ...(parts.moreShares ?? []).map(({ record }) => record),
        ],
        ...parts.replica,
      },
      storage,
      createTransport: (events) => parts.peers.join(id, this.life, process, events),
      createStateMachine: () => {
        const machine = createStateMachine();
        this.machine = parts.oracle?.follow(machine) ?? machine;
        return this.machine;
      },
      diskLow: () => this.diskLow || guard.full,
      onFatal: (reason) => {
        if (process.alive) parts.died(this, reason);
      },
    });
    this.replica = replica;
    const coordinator = createCoordinator({
      runtime,
      replica,
      config: { ...coordinatorDefaults, raftId: id, name, clusterId: "sim" },
    });
    this.coordinator = coordinator;
    this.transfers = new Transfers({ runtime, replica });
    const { hub } = coordinator;
    const witness = new Witness({ runtime, node: name, state: () => replica.state, hub });
    const client = localCoordinatorClient(coordinator);
    const shares = new Map([["demo", this.vfs(process, parts.share)]]);
    for (const { record, share } of parts.moreShares ?? [])
      shares.set(record.name ?? "", this.vfs(process, share));
    const lease = new LeaseKeeper({
      runtime,
      coordinator: client,
      network: this.heartbeats(process),
      shares,
      node: { name, grpcAddress: addressOf(id), httpAddress: "", labels: {}, shares: [...shares.keys()] },
      nextIncarnation: () => storage.nextFileNodeIncarnation(),
      onRegistered: () => fileNode.start(),
    });
    this.lease = lease;
    const fileNode = createFileNode({ node: name, runtime, coordinator: client, lease, shares });
    parts.streams.listen(addressOf(id), { node: name, place: id, process, fileNode, witness });
    await lease.start();
  }

  private guardDisk(runtime: Runtime): DiskGuard {
    const guard = new DiskGuard(this.disk.space, runtime, GUARDED);
    const { tally } = this.parts.sim;
    guard.onChange((full) => tally.situation(full ? "disk declared full" : "full disk left without help"));
    this.guard = guard;
    return guard;
  }

  private vfs(process: SimProcess, share: MemoryShare): ReturnType<typeof processVfs> {
    const { sim, shareTimes } = this.parts;
    return processVfs(
      sim,
      sim.seeds.stream(`share ${this.id}.${this.life}`),
      share,
      this.name,
      process,
      shareTimes,
      (operation, path) => this.changing(operation, path),
    );
  }

  /** Design section 5: no owner touches a file once its lease is over. Temporary names belong to nobody. */
  private changing(operation: string, path: string): void {
    if (path === EFFECTS_FOLDER || path.startsWith(`${EFFECTS_FOLDER}/`)) return;
    if (this.lease !== null && this.lease.leftMs() > 0) return;
    this.parts.changedWithoutLease(this, operation, path);
  }

  private heartbeats(process: SimProcess): HeartbeatNetwork {
    const { parts, id } = this;
    let listener: (coordinator: string, response: v1.IHeartbeatResponse) => void = () => undefined;
    return {
      setCoordinators: () => undefined,
      onResponse: (to) => {
        listener = to;
      },
      close: () => undefined,
      send: (name, request) => {
        const target = parts.node(name);
        if (target === undefined || !process.alive) return;
        const answer = (): void => {
          const { coordinator, process: server } = target;
          if (coordinator === null || server === null) return;
          server.bind(() => {
            const response = coordinator.heartbeat(request);
            parts.network.send(
              target.id,
              id,
              process.bind(() => listener(name, response)),
            );
          })();
        };
        parts.network.send(id, target.id, answer);
      },
    };
  }

  /** The process ends; with the power gone too, unsynced writes are lost, those of the share that lay in its cache too. */
  crash(powerLost: boolean): void {
    if (this.process === null) return;
    this.process.end();
    this.process = null;
    this.parts.streams.listen(addressOf(this.id), null);
    this.replica?.abandon();
    this.replica = null;
    this.coordinator = null;
    this.transfers = null;
    this.guard = null;
    this.lease = null;
    this.machine = null;
    this.paused = false;
    this.disk.crash(powerLost);
    if (!powerLost) return;
    this.parts.share.loseUnsyncedOf(this.name, this.disk.prng);
    for (const { share } of this.parts.moreShares ?? []) share.loseUnsyncedOf(this.name, this.disk.prng);
  }

  pause(paused: boolean): void {
    if (this.process === null || this.paused === paused) return;
    this.paused = paused;
    this.process.pause(paused);
  }
}

/** Completions of the disk reach a process when it runs. */
function boundStore(store: KvStore, process: SimProcess): KvStore {
  return {
    write: (ops, options, done) => store.write(ops, options, process.bind(done)),
    get: (key) => store.get(key),
    iterate: (from, to) => store.iterate(from, to),
    close: () => store.close(),
  };
}
