import type { ConfState } from "../../src/raft/index.js";
import { createReplica, replicaDefaults, type ReplicaConfig } from "../../src/replica/index.js";
import type { ReplicaNode } from "../../src/replica/replica.js";
import type { StateMachine } from "../../src/state/index.js";
import { FOUNDED_AT, NodeStorage } from "../../src/storage/index.js";
import type { v1 } from "../../src/wire/index.js";
import { keyMachine } from "./key-machine.js";
import { MemoryKv } from "./memory-kv.js";
import { MemoryNetwork } from "./memory-network.js";
import { World } from "./world.js";

/** One member as a test sees it. */
export interface TestMember {
  readonly id: number;
  readonly kv: MemoryKv;
  replica: ReplicaNode | null;
  fatal: string | null;
  exitCode: number;
  /** What the member said to do after it ended. */
  next: string;
  diskLow: boolean;
}

/** Members over memory, under virtual time. The state machine is the test's own. */
export class TestCluster {
  readonly world: World;
  readonly network: MemoryNetwork;
  readonly members = new Map<number, TestMember>();

  constructor(
    seed = 1,
    private readonly overrides: Partial<ReplicaConfig> = {},
    private readonly machine: () => StateMachine = keyMachine,
  ) {
    this.world = new World(seed);
    this.network = new MemoryNetwork(this.world);
  }

  /** A running cluster of founders with a ready leader. */
  static async of(
    size: number,
    seed = 1,
    overrides: Partial<ReplicaConfig> = {},
    machine?: () => StateMachine,
  ) {
    const cluster = new TestCluster(seed, overrides, machine);
    const voters = Array.from({ length: size }, (_, i) => i + 1);
    for (const id of voters) await cluster.add(id, conf(...voters), FOUNDED_AT);
    await cluster.ready();
    return cluster;
  }

  async add(id: number, confState: ConfState, at = 0): Promise<TestMember> {
    const kv = new MemoryKv(this.world);
    const member: TestMember = { id, kv, replica: null, fatal: null, exitCode: 0, next: "", diskLow: false };
    this.members.set(id, member);
    const opening = NodeStorage.open(kv, this.world.runtime(id));
    const storage = await this.world.settled(opening);
    const who = { clusterId: "test", name: `n${id}`, raftId: id, incarnation: 1 };
    await this.world.settled(storage.initialise(who, confState, at));
    await this.world.settled(storage.close());
    await this.start(id);
    return member;
  }

  async start(id: number): Promise<ReplicaNode> {
    const member = this.member(id);
    const runtime = this.world.runtime(id + 100 * Math.round(this.world.sim.nowUs));
    const storage = await this.world.settled(NodeStorage.open(member.kv, runtime));
    const creating = createReplica({
      runtime,
      config: { ...replicaDefaults, ...this.config(id), ...this.overrides },
      storage,
      createTransport: (events) => this.network.join(id, events),
      createStateMachine: this.machine,
      diskLow: () => member.diskLow,
      onFatal: (reason, exitCode, next) => {
        member.fatal = reason;
        member.next = next ?? "";
        member.exitCode = exitCode;
        this.network.leave(id);
      },
    });
    member.replica = await this.world.settled(creating);
    return member.replica;
  }

  private config(id: number) {
    const initialMembers = [1, 2, 3, 4, 5].map((raftId) => memberRecord(raftId));
    return {
      raftId: id,
      name: `n${id}`,
      clusterId: "test",
      initialMembers: initialMembers.slice(0, 3),
      shares: [],
    };
  }

  /** kill -9 and a power cut in one: unsynced data is lost. */
  crash(id: number): void {
    const member = this.member(id);
    this.network.leave(id);
    member.kv.crash();
    // It must not run on: its process is gone.
    member.replica?.abandon();
    member.replica = null;
  }

  member(id: number): TestMember {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  replica(id: number): ReplicaNode {
    const { replica } = this.member(id);
    if (replica === null) throw new Error(`member ${id} does not run`);
    return replica;
  }

  get running(): ReplicaNode[] {
    return [...this.members.values()].flatMap((m) =>
      m.replica === null || m.fatal !== null ? [] : [m.replica],
    );
  }

  get leader(): ReplicaNode | undefined {
    return this.running.filter((r) => r.leader().ready).sort((a, b) => b.leader().term - a.leader().term)[0];
  }

  async ready(): Promise<ReplicaNode> {
    await this.world.until("a leader is ready", () => {
      const { leader } = this;
      return leader !== undefined && (leader.state.cluster().clusterId ?? "") !== "";
    });
    return this.leader as ReplicaNode;
  }

  follower(): ReplicaNode {
    const found = this.running.find((r) => !r.leader().isLeader && r.leader().leaderId !== 0);
    if (found === undefined) throw new Error("no follower");
    return found;
  }

  /** Everybody that runs has applied the same. */
  async converged(): Promise<void> {
    await this.world.until("all have applied the same", () => {
      const top = Math.max(...this.running.map((r) => r.status().raft.lastIndex));
      return this.running.every((r) => r.appliedIndex === top);
    });
  }
}

export function conf(...voters: number[]): ConfState {
  return { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
}

export function memberRecord(raftId: number): v1.IMemberRecord {
  return { raftId, name: `n${raftId}`, incarnation: 1, grpcAddress: `10.0.0.${raftId}:1` };
}

export function storeKey(key: string, text = "x"): v1.ICommand {
  return { storeKey: { key, state: Buffer.from(text) } };
}

/** How often a key was stored, as this replica sees it. */
export function versionOf(replica: ReplicaNode, key: string): number {
  return (replica.state.key(key)?.version as number | undefined) ?? 0;
}
