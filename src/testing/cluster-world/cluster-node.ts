import { coordinatorDefaults, createCoordinator, localCoordinatorClient } from "../../coordinator/index.js";
import { Transfers } from "../../coordinator/transfers.js";
import { Witness } from "../../coordinator/witness.js";
import { EFFECTS_FOLDER } from "../../filenode/paths.js";
import { createFileNode } from "../../filenode/file-node.js";
import { type HeartbeatNetwork, LeaseKeeper } from "../../filenode/lease-keeper.js";
import type { Coordinator } from "../../coordinator/index.js";
import type { Runtime } from "../../runtime/api.js";
import { createReplica, type ReplicaConfig, replicaDefaults } from "../../replica/index.js";
import type { ReplicaNode } from "../../replica/replica.js";
import { createStateMachine, type StateMachine } from "../../state/index.js";
import { NODE_EXIT, NodeExitError } from "../../node/exit-codes.js";
import { claimStorage } from "../../node/open-storage.js";
import { loadExit, refusedExit, replicaExit, storageExit } from "../../node/storage-exits.js";
import { DiskGuard, type NodeStorage } from "../../storage/index.js";
import { DISK_REFUSED } from "../../transport/handshake.js";
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
import type { AdmitPeer } from "../../transport/handshake.js";
import type { PeerEvents, Transport } from "../../transport/api.js";
import { type HeldWrites, type ShareTimes, processVfs } from "./sim-vfs.js";
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
  /**
   * Nodes remember the disks of their peers and refuse another one under the same identity. It costs a write at each
   * first meeting; where no disk is ever exchanged it would find nothing.
   */
  readonly remembersDisks?: boolean;
  /** A node's process ended by itself, with one of `NODE_EXIT`. */
  died(node: ClusterNode, reason: string, exitCode: number): void;
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
  /** What its kernel keeps back: outlives the process that wrote it. */
  heldWrites: HeldWrites | null = null;
  /** Watches the disk of the present process; it declares a full one before or after a write has failed. */
  guard: DiskGuard | null = null;
  paused = false;
  /** Removed from the members, and stopped for good. */
  retired = false;
  /** It ended with a code that asks for a person: its supervisor does not start it again. */
  condemned = false;

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
    if (this.process !== null || this.retired || this.condemned) return;
    this.life++;
    const { sim } = this.parts;
    const process = new SimProcess(sim, this.clock, sim.seeds.stream(`process ${this.id}.${this.life}`));
    this.process = process;
    this.boot(process).catch((error: unknown) => this.ended(process, error));
  }

  private ended(process: SimProcess, error: unknown): void {
    if (!process.alive) return;
    const code = error instanceof NodeExitError ? error.exitCode : NODE_EXIT.failed;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.parts.died(this, text, code);
  }

  /** As `openNodeStorage` does it, on the simulated disk. */
  private async openStorage(process: SimProcess, runtime: Runtime, guard: DiskGuard): Promise<NodeStorage> {
    const { parts, name, id } = this;
    try {
      const kv = this.disk.store({
        bind: (run) => process.bind(run),
        scheduler: runtime.scheduler,
        makeRoom: () => guard.ranOut(),
      });
      const founders = this.joins ? null : parts.members.map(({ raftId }) => raftId ?? 0);
      return await claimStorage(kv, runtime, { clusterId: "sim", name, raftId: id }, founders);
    } catch (thrown) {
      throw storageExit(name, thrown);
    }
  }

  /** As `startReplica` does it, over simulated links. */
  private peerLinks(process: SimProcess, storage: NodeStorage, events: PeerEvents): Transport {
    const { parts, name } = this;
    const { identity } = storage;
    if (identity === null) throw new Error("invariant: the storage was initialised");
    const known: PeerEvents = {
      onFrames: (from, frames) => events.onFrames(from, frames),
      onConnected: (peer) => events.onConnected(peer),
      onDisconnected: (peer, reason) => events.onDisconnected(peer, reason),
      onSnapshot: (from, first) => events.onSnapshot(from, first),
      onRefused: (_, refusal) => {
        if (refusal.code === DISK_REFUSED) this.ended(process, refusedExit(name, name, refusal));
      },
    };
    const admit: AdmitPeer = parts.remembersDisks ? (said) => storage.admitPeer(said) : () => null;
    return parts.peers.join(this.id, this.life, process, known, { self: identity, admit });
  }

  private async boot(process: SimProcess): Promise<void> {
    const { parts, name, id } = this;
    const runtime = process.runtime();
    const guard = this.guardDisk(runtime);
    // Before the database: with a full disk it opens on what was set aside.
    await guard.start();
    const storage = await this.openStorage(process, runtime, guard);
    storage.onFailure((error) => this.ended(process, replicaExit(error.message, NODE_EXIT.diskFailed)));
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
      createTransport: (events) => this.peerLinks(process, storage, events),
      createStateMachine: () => {
        const machine = createStateMachine();
        this.machine = parts.oracle?.follow(machine) ?? machine;
        return this.machine;
      },
      diskLow: () => this.diskLow || guard.full,
      onFatal: (reason, exitCode) => this.ended(process, replicaExit(reason, exitCode)),
    }).catch((thrown: unknown) => {
      throw loadExit(name, thrown);
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
      () => this.heldWrites,
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
