import assert from "node:assert/strict";
import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { type HeartbeatNetwork, LeaseKeeper } from "../../src/filenode/lease-keeper.js";
import { MemoryShare } from "../../src/testing/memory-share.js";
import { type MemoryFaults, MemoryVfs } from "../../src/testing/memory-vfs.js";
import { ErrorCode } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";
import { quiet, TestTime } from "./world.js";

/** Three coordinators that answer as they are told to, at once. */
class Coordinators implements HeartbeatNetwork, CoordinatorClient {
  readonly registered: number[] = [];
  readonly heartbeats: v1.IHeartbeatRequest[] = [];
  readonly dead = new Set<string>();
  readonly revoked = new Map<string, number>();
  names = ["c1", "c2", "c3"];
  private listener: (coordinator: string, response: v1.IHeartbeatResponse) => void = () => {};

  setCoordinators(): void {}
  close(): void {}
  onResponse(listener: (coordinator: string, response: v1.IHeartbeatResponse) => void): void {
    this.listener = listener;
  }
  watch(): () => void {
    return () => {};
  }

  send(coordinator: string, request: v1.IHeartbeatRequest): void {
    if (coordinator === "c1") this.heartbeats.push(request);
    if (this.dead.has(coordinator)) return;
    const incarnation = request.incarnation ?? 0;
    const sequence = request.sequence ?? 0;
    const response: v1.IHeartbeatResponse = { sequence, coordinator, coordinators: this.names.length };
    if (!this.registered.includes(incarnation)) response.error = { code: ErrorCode.UNKNOWN_NODE };
    else if ((this.revoked.get(coordinator) ?? 0) >= incarnation)
      response.error = { code: ErrorCode.LEASE_LOST };
    else response.granted = true;
    this.listener(coordinator, response);
  }

  async execute(command: v1.ICommand): Promise<v1.ICommandResult> {
    this.registered.push(command.registerNode?.node?.incarnation ?? 0);
    return {};
  }

  async query(): Promise<v1.IStateAnswer> {
    return { members: this.names.map((name) => ({ name, grpcAddress: `${name}:1` })) };
  }
}

async function setup(faults?: MemoryFaults) {
  const time = new TestTime();
  const coordinators = new Coordinators();
  let incarnation = 4;
  let registrations = 0;
  const keeper = new LeaseKeeper({
    runtime: time.runtime(1),
    coordinator: coordinators,
    network: coordinators,
    shares: new Map([["demo", new MemoryVfs(new MemoryShare(), "n1", faults)]]),
    node: { name: "n1" },
    nextIncarnation: async () => ++incarnation,
    onRegistered: () => {
      registrations += 1;
    },
  });
  await keeper.start();
  const pass = async (ms: number) => {
    for (let i = 0; i < ms; i += 50) {
      time.advance(50);
      await quiet();
    }
  };
  await pass(400);
  return { time, coordinators, keeper, pass, registrations: () => registrations };
}

describe("the keeper of the node lease", () => {
  // Cluster seeds 20, 34 and 67: the largest group ever heard of counted, and its majority was not there any more.
  it("holds the lease when all coordinators but one have been removed", async () => {
    const { coordinators, keeper, pass } = await setup();
    coordinators.names = ["c1"];
    for (const name of ["c2", "c3"]) coordinators.dead.add(name);
    await pass(4000);
    assert.ok(keeper.leftMs() > 0, `${keeper.leftMs()} ms are left`);
  });

  it("registers a new incarnation and holds the lease while a majority answers", async () => {
    const { coordinators, keeper, pass, registrations } = await setup();
    assert.deepEqual(coordinators.registered, [5]);
    assert.equal(registrations(), 1);
    assert.equal(keeper.incarnation, 5);
    coordinators.dead.add("c3");
    await pass(3000);
    assert.ok(keeper.leftMs() > 500, `${keeper.leftMs()} ms left`);
    keeper.stop();
  });

  it("loses it one lease less the margin after the majority went silent, and keeps its incarnation", async () => {
    const { coordinators, keeper, pass } = await setup();
    coordinators.dead.add("c2").add("c3");
    await pass(650);
    assert.ok(keeper.leftMs() > 0);
    await pass(250);
    assert.ok(keeper.leftMs() <= 0);
    coordinators.dead.clear();
    await pass(250);
    assert.ok(keeper.leftMs() > 0);
    assert.deepEqual(coordinators.registered, [5]);
    keeper.stop();
  });

  it("gives up an incarnation that a majority has revoked, tells who serves, and registers the next", async () => {
    const { coordinators, keeper, pass, registrations } = await setup();
    let lost = 0;
    keeper.onLost(() => {
      lost += 1;
    });
    coordinators.revoked.set("c1", 5);
    await pass(1000);
    assert.equal(lost, 0);
    coordinators.revoked.set("c3", 5);
    await pass(1000);
    assert.deepEqual([lost, keeper.incarnation, registrations()], [1, 6, 2]);
    assert.deepEqual(coordinators.registered, [5, 6]);
    assert.ok(keeper.leftMs() > 0);
    keeper.stop();
  });

  // One coordinator has revoked it in a stall, for good; then another dies. No majority is left that would promise, and none
  // that would declare it down: it owned its sessions and served none of them until the dead one came back.
  it("registers anew when its lease has lapsed and one coordinator has revoked it", async () => {
    const { coordinators, keeper, pass } = await setup();
    coordinators.revoked.set("c3", 5);
    await pass(2000);
    assert.deepEqual([keeper.incarnation, keeper.leftMs() > 0], [5, true], "two of three promise");
    coordinators.dead.add("c1");
    await pass(700);
    assert.equal(keeper.incarnation, 5, "what is promised is used up first");
    await pass(800);
    assert.deepEqual(coordinators.registered, [5, 6]);
    assert.ok(keeper.leftMs() > 0, `${keeper.leftMs()} ms are left`);
    keeper.stop();
  });

  it("stops beating while the share does not answer, and begins again when it does", async () => {
    let hung = false;
    const waiting: (() => void)[] = [];
    const { coordinators, keeper, pass } = await setup((operation, _path, phase) => {
      if (!hung || operation !== "sync" || phase !== "before") return;
      return new Promise<void>((resolve) => waiting.push(resolve));
    });
    hung = true;
    await pass(2500);
    assert.equal(keeper.withheld, "a share does not answer");
    assert.ok(keeper.leftMs() <= 0);
    const before = coordinators.heartbeats.length;
    await pass(1000);
    assert.equal(coordinators.heartbeats.length, before);
    hung = false;
    for (const go of waiting) go();
    await pass(1000);
    assert.equal(keeper.withheld, "");
    assert.ok(keeper.leftMs() > 0);
    keeper.stop();
  });

  it("stops beating while the event loop is stuck again and again", async () => {
    const { time, keeper, pass } = await setup();
    for (let i = 0; i < 3; i++) {
      time.advance(900);
      await quiet();
    }
    assert.equal(keeper.withheld, "the event loop is stuck");
    await pass(600);
    assert.equal(keeper.withheld, "");
    assert.ok(keeper.leftMs() > 0);
    keeper.stop();
  });
});
