import assert from "node:assert/strict";
import {
  type Coordinator,
  coordinatorDefaults,
  createCoordinator,
  localCoordinatorClient,
} from "../../src/coordinator/index.js";
import { type HeartbeatNetwork, LeaseKeeper } from "../../src/filenode/lease-keeper.js";
import { createStateMachine } from "../../src/state/index.js";
import type { v1 } from "../../src/wire/index.js";
import { TestCluster } from "../replica/cluster.js";

const SEED = Number(process.env["SEED"] ?? 1);

/** Heartbeats straight into the coordinators that run, but for those that cannot hear this node. */
class Heartbeats implements HeartbeatNetwork {
  readonly deaf = new Set<string>();
  private listener: (coordinator: string, response: v1.IHeartbeatResponse) => void = () => {};

  constructor(private readonly coordinators: ReadonlyMap<string, Coordinator>) {}

  setCoordinators(): void {}
  close(): void {}

  onResponse(listener: (coordinator: string, response: v1.IHeartbeatResponse) => void): void {
    this.listener = listener;
  }

  send(name: string, request: v1.IHeartbeatRequest): void {
    const coordinator = this.coordinators.get(name);
    if (coordinator !== undefined && !this.deaf.has(name))
      this.listener(name, coordinator.heartbeat(request));
  }
}

describe("a node that one coordinator of three has revoked", () => {
  it("serves on, and when another coordinator dies is without its lease for hardly longer than one", async () => {
    const cluster = await TestCluster.of(3, SEED, {}, createStateMachine);
    const coordinators = new Map<string, Coordinator>();
    for (const id of [1, 2, 3]) {
      const config = { ...coordinatorDefaults, raftId: id, name: `n${id}`, clusterId: "test" };
      const parts = { runtime: cluster.world.runtime(id + 500), replica: cluster.replica(id), config };
      coordinators.set(`n${id}`, createCoordinator(parts));
    }
    const { raftId } = await cluster.ready();
    const [home, other] = [1, 2, 3].filter((id) => id !== raftId) as [number, number];
    const client = localCoordinatorClient(coordinators.get(`n${home}`) as Coordinator);
    const network = new Heartbeats(coordinators);
    let incarnation = 0;
    const keeper = new LeaseKeeper({
      runtime: cluster.world.runtime(900),
      coordinator: client,
      network,
      shares: new Map(),
      node: { name: "n1", grpcAddress: "a:1", httpAddress: "a:2", shares: [] },
      nextIncarnation: async () => ++incarnation,
      onRegistered: () => {},
    });
    await cluster.world.settled(keeper.start());
    await cluster.world.until("it has its lease", () => keeper.leftMs() > 0);

    network.deaf.add(`n${raftId}`);
    await cluster.world.pass(2_000);
    network.deaf.clear();
    await cluster.world.pass(2_000);
    assert.equal(keeper.incarnation, 1, "a minority takes nothing from it");
    assert.ok(keeper.leftMs() > 0, `${keeper.leftMs()} ms are left`);

    coordinators.get(`n${other}`)?.stop();
    coordinators.delete(`n${other}`);
    cluster.crash(other);
    await cluster.world.until("its lease has lapsed", () => keeper.leftMs() <= 0);
    const atMs = cluster.world.clock.monotonicMs();
    await cluster.world.until("it has a lease again", () => keeper.leftMs() > 0);
    const tookMs = cluster.world.clock.monotonicMs() - atMs;
    assert.ok(tookMs <= 500, `it was without a lease for ${tookMs} ms`);
    assert.equal(keeper.incarnation, 2);
    keeper.stop();
  });
});
