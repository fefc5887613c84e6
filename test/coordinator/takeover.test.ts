import assert from "node:assert/strict";
import {
  type Coordinator,
  coordinatorDefaults,
  createCoordinator,
  LEAVING,
} from "../../src/coordinator/index.js";
import type { Replica } from "../../src/replica/api.js";
import { takeoverSlice } from "../../src/state/mechanics/takeover.js";
import { createStateMachine } from "../../src/state/index.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { TestCluster } from "../replica/cluster.js";

const SEED = Number(process.env["SEED"] ?? 1);
const LEASE_MS = 1_000;

/** A cluster with a coordinator at each member and file nodes that do nothing but register and send heartbeats. */
class House {
  readonly coordinators = new Map<number, Coordinator>();
  private readonly beating = new Set<string>();
  readonly lost: string[] = [];

  private constructor(readonly cluster: TestCluster) {}

  static async of(seed: number): Promise<House> {
    const house = new House(await TestCluster.of(3, seed, {}, createStateMachine));
    for (const id of [1, 2, 3]) house.coordinate(id);
    return house;
  }

  coordinate(id: number): Coordinator {
    const replica = this.cluster.replica(id);
    const config = { ...coordinatorDefaults, raftId: id, name: `n${id}`, clusterId: "test" };
    const coordinator = createCoordinator({ runtime: this.cluster.world.runtime(id + 500), replica, config });
    this.coordinators.set(id, coordinator);
    return coordinator;
  }

  /** Any coordinator whose member runs. */
  get any(): Coordinator {
    const [first] = [...this.coordinators.values()];
    if (first === undefined) throw new Error("no coordinator runs");
    return first;
  }

  async execute(command: v1.ICommand, at: Coordinator = this.any): Promise<v1.ICommandResult> {
    const result = await this.cluster.world.settled(at.execute(command));
    // A follower may apply an entry before its leader does, and the tests look at the leader's state.
    const revision = Number(result.revision ?? 0);
    await this.cluster.world.until(
      `revision ${revision} at the leader`,
      () => this.reader.appliedIndex >= revision,
    );
    return result;
  }

  async fileNode(name: string, incarnation = 1): Promise<void> {
    const node = { name, incarnation, grpcAddress: `${name}:1`, httpAddress: `${name}:2`, shares: [] };
    assert.equal((await this.execute({ registerNode: { node } })).error, undefined);
    this.beating.add(`${name}/${incarnation}`);
    this.beat(name, incarnation);
  }

  private beat(node: string, incarnation: number): void {
    if (!this.beating.has(`${node}/${incarnation}`)) return;
    for (const coordinator of this.coordinators.values()) {
      const answer = coordinator.heartbeat({ node, incarnation, sequence: 1, leaseMs: LEASE_MS });
      if (answer.error?.code === ErrorCode.LEASE_LOST) this.lost.push(`${node}/${incarnation}`);
    }
    this.cluster.world.scheduler.after(200, () => this.beat(node, incarnation));
  }

  silence(name: string, incarnation = 1): void {
    this.beating.delete(`${name}/${incarnation}`);
  }

  /** The whole node dies: member and coordinator. */
  kill(id: number): void {
    this.coordinators.get(id)?.stop();
    this.coordinators.delete(id);
    this.cluster.crash(id);
  }

  async session(node: string, client: number): Promise<v1.ISessionRecord> {
    const clientGuid = Buffer.alloc(16, client);
    const result = await this.execute({
      openSession: {
        clientGuid,
        principal: "p",
        clientName: "c",
        timeoutMs: 60_000,
        node,
        nodeIncarnation: 1,
        resumeToken: Buffer.alloc(16, 9),
      },
    });
    assert.equal(result.error, undefined, JSON.stringify(result.error));
    assert.ok(result.session);
    return result.session;
  }

  private get reader(): Replica {
    const leader = this.cluster.leader ?? this.cluster.running[0];
    if (leader === undefined) throw new Error("nobody runs");
    return leader;
  }

  state() {
    return this.reader.state;
  }
}

describe("takeover", () => {
  it("leaves nodes alone that send heartbeats, also across a change of leader", async () => {
    const house = await House.of(SEED);
    for (const name of ["n1", "n2", "n3"]) await house.fileNode(name);
    await house.cluster.world.pass(3_000);
    const leader = await house.cluster.ready();
    house.kill(leader.raftId);
    await house.cluster.world.pass(5_000);
    for (const node of house.state().nodes())
      assert.equal(node.status, v1.NodeStatus.NODE_UP, node.name ?? "");
    assert.deepEqual(house.lost, []);
    assert.equal([...house.state().failovers()].length, 0);
  });

  it("moves the sessions of a silent node to the others, one epoch up, within the lease and a little", async () => {
    const house = await House.of(SEED);
    for (const name of ["n1", "n2", "n3"]) await house.fileNode(name);
    const sessions: v1.ISessionRecord[] = [];
    for (let i = 1; i <= 8; i++) sessions.push(await house.session("n1", i));
    house.silence("n1");
    const at = house.cluster.world.clock.monotonicMs();
    await house.cluster.world.until(
      "a is down",
      () => house.state().node("n1")?.status === v1.NodeStatus.NODE_DOWN,
    );
    const tookMs = house.cluster.world.clock.monotonicMs() - at;
    assert.ok(tookMs >= LEASE_MS - 200 && tookMs <= LEASE_MS + 100, `took ${tookMs} ms`);
    const owners = new Set<string>();
    for (const { id, epoch } of sessions) {
      const session = house.state().session(Number(id));
      assert.equal(Number(session?.epoch), Number(epoch) + 1);
      owners.add(session?.owner ?? "");
    }
    assert.ok(!owners.has("n1"));
    const [record] = [...house.state().failovers()];
    assert.equal(record?.from, "n1");
    assert.equal(Number(record?.sessions), 8);
    const phases = (Number(record?.detectUs) + Number(record?.electUs) + Number(record?.fenceUs)) / 1_000;
    assert.ok(Math.abs(phases - tookMs) <= 200 + 40, `phases ${phases}, seen ${tookMs}`);
  });

  it("goes on with a takeover of many sessions until none is left, whoever leads", async () => {
    const usual = takeoverSlice.sessions;
    takeoverSlice.sessions = 1;
    try {
      const house = await House.of(SEED);
      for (const name of ["n1", "n2", "n3"]) await house.fileNode(name);
      for (let i = 1; i <= 8; i++) await house.session("n1", i);
      const left = () => [...house.state().sessionsOf("n1")].length;
      house.silence("n1");
      await house.cluster.world.until("it has begun", () => left() < 8);
      assert.ok(left() > 0, "the first entry moved all of them");
      // Nothing but the state says what is left to do.
      house.kill((await house.cluster.ready()).raftId);
      await house.cluster.world.until("none is left", () => left() === 0);
      for (const session of house.state().sessions()) assert.equal(Number(session.epoch), 2);
      const [record] = [...house.state().failovers()];
      assert.equal(Number(record?.sessions), 8);
      assert.equal(Number(house.state().node("n1")?.takeoverId), 0);
    } finally {
      takeoverSlice.sessions = usual;
    }
  });

  it("runs lease and election side by side when leader and file node are the same dead process", async () => {
    const house = await House.of(SEED);
    for (const name of ["n1", "n2", "n3"]) await house.fileNode(name);
    const leader = await house.cluster.ready();
    const name = `n${leader.raftId}`;
    const session = await house.session(name, 1);
    house.kill(leader.raftId);
    house.silence(name);
    const at = house.cluster.world.clock.monotonicMs();
    await house.cluster.world.until(
      "it is down",
      () => house.state().node(name)?.status === v1.NodeStatus.NODE_DOWN,
    );
    const tookMs = house.cluster.world.clock.monotonicMs() - at;
    assert.ok(tookMs <= LEASE_MS + 150, `took ${tookMs} ms`);
    assert.notEqual(house.state().session(Number(session.id))?.owner, name);
  });

  it("tells a revoked incarnation that its lease is lost, and lets the next one in", async () => {
    const house = await House.of(SEED);
    for (const name of ["n1", "n2"]) await house.fileNode(name);
    house.silence("n1");
    await house.cluster.world.until(
      "a is down",
      () => house.state().node("n1")?.status === v1.NodeStatus.NODE_DOWN,
    );
    for (const coordinator of house.coordinators.values())
      assert.equal(
        coordinator.heartbeat({ node: "n1", incarnation: 1, sequence: 2, leaseMs: LEASE_MS }).error?.code,
        ErrorCode.LEASE_LOST,
      );
    await house.fileNode("n1", 2);
    await house.cluster.world.pass(3_000);
    assert.equal(house.state().node("n1")?.status, v1.NodeStatus.NODE_UP);
    assert.equal(Number(house.state().node("n1")?.incarnation), 2);
  });

  it("does not need the coordinator that cannot hear a node to be silent: a minority declares nobody down", async () => {
    const house = await House.of(SEED);
    await house.fileNode("n1");
    const deaf = house.coordinators.get(house.cluster.follower().raftId) as Coordinator;
    const hears = deaf.heartbeat.bind(deaf);
    deaf.heartbeat = (request) => ({ ...hears({ ...request, node: "nobody" }), granted: false });
    await house.cluster.world.pass(5_000);
    assert.equal(house.state().node("n1")?.status, v1.NodeStatus.NODE_UP);
  });

  it("moves everything at once when a node takes its leave", async () => {
    const house = await House.of(SEED);
    for (const name of ["n1", "n2"]) await house.fileNode(name);
    const session = await house.session("n1", 1);
    const at = house.cluster.world.clock.monotonicMs();
    house.silence("n1");
    const result = await house.execute({ nodeDown: { node: "n1", incarnation: 1, cause: LEAVING } });
    assert.equal(result.error, undefined);
    assert.equal(house.state().session(Number(session.id))?.owner, "n2");
    assert.ok(house.cluster.world.clock.monotonicMs() - at < 50);
  });

  it("works at the tenth failover as at the first", async () => {
    const house = await House.of(SEED);
    for (const name of ["n1", "n2"]) await house.fileNode(name);
    await house.session("n1", 1);
    for (let round = 1; round <= 10; round++) {
      const owner = house.state().session(1)?.owner ?? [...house.state().sessions()][0]?.owner ?? "";
      const incarnation = Number(house.state().node(owner)?.incarnation);
      house.silence(owner, incarnation);
      await house.cluster.world.until(
        `round ${round}`,
        () => house.state().node(owner)?.status === v1.NodeStatus.NODE_DOWN,
      );
      assert.notEqual([...house.state().sessions()][0]?.owner, owner);
      await house.fileNode(owner, incarnation + 1);
    }
    assert.equal([...house.state().failovers()].filter((f) => f.kind === "failover").length, 10);
  });
});
