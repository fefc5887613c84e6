import assert from "node:assert/strict";
import { clearMutants, MUTANTS, type MutantName, setMutant } from "../../src/state/mutants.js";
import { v1 } from "../../src/wire/index.js";
import {
  ALL,
  assertCode,
  type Client,
  DELETE,
  guid,
  isParked,
  READ,
  RH,
  RWH,
  World,
  WRITE,
} from "./harness.js";

const { ErrorCode } = v1;
const D = v1.Disposition;

function pair(): { world: World; a: Client; b: Client } {
  const world = new World();
  world.file("file");
  return { world, a: world.client("a"), b: world.client("b", "n3") };
}

/** The same, with a directory that the second client has leased. */
function directory(lease = RH): { world: World; a: Client; b: Client } {
  const scene = pair();
  scene.world.file("dir", true);
  scene.world.file("dir/f");
  scene.world.opened(scene.b, { path: "dir", directory: true, access: READ, leaseKey: "d", lease });
  return scene;
}

/** For each planted bug a program that holds without it and fails with it. A bug without one does not compile. */
const SCENARIOS: Record<MutantName, () => void> = {
  epochUnchecked: () => {
    const { world, a } = pair();
    const stale = world.openCommand(a, { path: "file" });
    world.kill("n1");
    assertCode(world.run(stale), ErrorCode.STALE_EPOCH);
  },
  ownerUnchecked: () => {
    const { world, a } = pair();
    const command = world.openCommand(a, {});
    if (command.openHandle?.fence) command.openHandle.fence.node = "n2";
    assertCode(world.run(command), ErrorCode.NOT_OWNER);
  },
  lockDuringTakeover: () => {
    const { world, a } = pair();
    const handle = world.opened(a, { guid: "g" });
    world.run(world.openCommand(a, { path: "new", disposition: D.CREATE }));
    world.kill("n1");
    world.ok(world.connectCommand(a));
    assertCode(world.reconnect(a, handle), ErrorCode.NOT_READY);
  },
  replyForgottenOnTakeover: () => {
    const { world, a } = pair();
    const request = { slot: 0, sequence: 1 };
    world.open(a, { path: "new", disposition: D.CREATE, request });
    world.kill("n1");
    world.connect(a);
    assert.equal(world.open(a, { path: "new", disposition: D.CREATE, request }).repeated, true);
  },
  replyNotStored: () => {
    const { world, a } = pair();
    const handle = world.opened(a);
    const elements = [{ offset: 0, length: 1, exclusive: true, failImmediately: true }];
    const command = world.lockCommand(a, handle, elements, { request: { slot: 0, sequence: 1 } });
    world.ok(command);
    world.ok(command);
  },
  requestMismatchIgnored: () => {
    const { world, a } = pair();
    const request = { slot: 0, sequence: 1 };
    world.open(a, { request });
    assertCode(world.open(a, { path: "x", request }), ErrorCode.REQUEST_MISMATCH);
  },
  replayExecutesAgain: () => {
    const { world, a } = pair();
    world.opened(a, { guid: "g" });
    world.opened(a, { guid: "g", replay: true });
    assert.equal(world.machine.counts().handles, 1);
  },
  replayAfterUse: () => {
    const { world, a } = pair();
    const handle = world.opened(a, { guid: "g" });
    world.lock(a, handle, 0, 1);
    assertCode(world.open(a, { guid: "g", replay: true }), ErrorCode.FILE_NOT_AVAILABLE);
  },
  tombstoneForgotten: () => {
    const { world, a } = pair();
    world.close(a, world.opened(a, { guid: "g" }));
    assertCode(world.open(a, { guid: "g", replay: true }), ErrorCode.FILE_CLOSED);
  },
  lockBucketNotStored: () => {
    const { world, a } = pair();
    const handle = world.opened(a);
    world.lock(a, handle, 0, 1, { bucket: [1, 1] });
    assert.equal(world.lock(a, handle, 0, 1, { bucket: [1, 1] }).error, undefined);
  },
  lockWaiterOvertaken: () => {
    const { world, a, b } = pair();
    world.file("file");
    const [mine, his] = [world.opened(a), world.opened(b)];
    const c = world.client("c");
    const third = world.opened(c);
    world.lock(a, mine, 0, 5);
    assert(isParked(world.lock(b, his, 0, 10, { failImmediately: false })));
    assertCode(world.lock(c, third, 7, 1), ErrorCode.LOCK_NOT_GRANTED);
  },
  lockRollbackMissing: () => {
    const { world, a } = pair();
    const handle = world.opened(a);
    world.lock(a, handle, 5, 1);
    const elements = [0, 5].map((offset) => ({ offset, length: 1, exclusive: true, failImmediately: true }));
    world.run(world.lockCommand(a, handle, elements));
    assert.equal(world.handle(handle).locks?.length, 1);
  },
  lockOverlapOffByOne: () => {
    const { world, a } = pair();
    const [one, two] = [world.opened(a), world.opened(a)];
    world.lock(a, one, 0, 10);
    assertCode(world.lock(a, two, 9, 10), ErrorCode.LOCK_NOT_GRANTED);
  },
  lockSharedConflictMissed: () => {
    const { world, a } = pair();
    const [one, two] = [world.opened(a), world.opened(a)];
    world.lock(a, one, 0, 10, { exclusive: false });
    assertCode(world.lock(a, two, 0, 10), ErrorCode.LOCK_NOT_GRANTED);
  },
  lockWithoutPrepare: () => {
    const { world, a, b } = pair();
    const handle = world.opened(a);
    world.opened(b);
    assert(isParked(world.lock(a, handle, 0, 1)));
  },
  shareCheckOneWay: () => {
    const { world, a, b } = pair();
    world.opened(a, { access: WRITE });
    assertCode(world.open(b, { access: READ, shareMode: { read: true } }), ErrorCode.SHARING_VIOLATION);
  },
  disconnectedUnprotected: () => {
    const { world, a, b } = pair();
    world.opened(a, { guid: "g" });
    world.kill("n1");
    if (!world.session(b).connected) world.connect(b);
    assertCode(world.open(b), ErrorCode.FILE_NOT_AVAILABLE);
  },
  storedBreakLost: () => {
    const { world, a, b } = pair();
    const handle = world.opened(a, { guid: "g", leaseKey: "k", lease: RH });
    world.disconnect(a);
    world.open(b, { disposition: D.OVERWRITE });
    world.connect(a);
    world.reconnect(a, handle);
    assert.equal(world.eventsOf("lease-break").length, 1);
  },
  breakWithoutWait: () => {
    const { world, a, b } = pair();
    world.opened(a, { leaseKey: "k", lease: RWH });
    assert(isParked(world.open(b)));
  },
  directoryLeaseKept: () => {
    const { world, a, b } = directory();
    world.opened(a, { path: "dir/new" });
    assert.equal(world.lease(b, "d")?.breaking, true);
  },
  directoryLeaseOfSizes: () => {
    const { world, a, b } = directory();
    const effect = {
      kind: v1.EffectKind.EFFECT_TRUNCATE,
      handleId: world.opened(a, { path: "dir/f" }).id ?? null,
    };
    world.perform(world.ok({ beginEffect: { fence: world.fence(a), effect } }));
    assert.equal(world.lease(b, "d")?.breaking, true);
  },
  parentKeyIgnored: () => {
    const { world, b } = directory();
    world.opened(b, { path: "dir/new", leaseKey: "f", lease: RWH, parentKey: "d" });
    assert.equal(world.lease(b, "d")?.breaking, false);
  },
  directoryLeasedForWriting: () => {
    const { world, b } = directory(RWH);
    assert.equal(world.lease(b, "d")?.state, RH);
  },
  leaseEpochStands: () => {
    const { world, a, b } = pair();
    world.opened(a, { leaseKey: "k", lease: RWH });
    const before = world.lease(a, "k")?.epoch ?? 0;
    world.open(b);
    assert.equal(world.lease(a, "k")?.epoch, before + 1);
  },
  expireWithoutIncarnation: () => {
    const { world, a } = pair();
    const handle = world.opened(a, { guid: "g", timeoutMs: 1_000 });
    world.disconnect(a);
    world.nowMs += 1_000;
    const due = world.machine.due(world.nowMs, 10);
    world.connect(a);
    world.reconnect(a, handle);
    for (const command of due) world.run(command);
    assert.equal(world.handle(handle).state, v1.HandleState.HANDLE_OPEN);
  },
  expireEarly: () => {
    const { world, a } = pair();
    const handle = world.opened(a, { guid: "g", timeoutMs: 1_000 });
    world.disconnect(a);
    const record = world.handle(handle);
    const expireHandle = {
      handleId: handle.id ?? null,
      connection: record.connection ?? 0,
      deadlineMs: record.deadlineMs ?? 0,
    };
    assertCode(world.run({ expireHandle }), ErrorCode.NO_CHANGE);
  },
  deleteOnCrash: () => {
    const { world, a } = pair();
    world.opened(a, { kind: v1.HandleKind.PLAIN, access: ALL, deleteOnClose: true });
    world.kill("n1");
    assert.equal([...world.machine.effects()].length, 0);
  },
  deleteMarkLostAtExpiry: () => {
    const { world, a } = pair();
    world.opened(a, { guid: "g", access: ALL, deleteOnClose: true });
    world.disconnect(a);
    world.pass(60_000);
    assert.equal([...world.machine.effects()].length, 1);
  },
  principalUnchecked: () => {
    const { world, a } = pair();
    world.disconnect(a);
    assertCode(world.run(world.connectCommand({ ...a, principal: "mallory" })), ErrorCode.ACCESS_DENIED);
  },
  stealConnected: () => {
    const { world, a } = pair();
    const handle = world.opened(a, { guid: "g" });
    const second = world.client("a", "n2", { clientGuid: a.guid, resumeToken: guid("t2") });
    assertCode(world.reconnect(second, handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
  },
  renameAboveOpen: () => {
    const { world, a, b } = pair();
    world.file("dir", true);
    world.file("dir/file");
    world.opened(a, { path: "dir/file", guid: "g" });
    const dir = world.opened(b, { path: "dir", directory: true, access: DELETE });
    const effect = { kind: v1.EffectKind.EFFECT_RENAME, handleId: dir.id ?? null, targetPath: "new" };
    assertCode(world.run({ beginEffect: { fence: world.fence(b), effect } }), ErrorCode.ACCESS_DENIED);
  },
  tailOpen: () => {
    const { world, a, b } = pair();
    world.closesTails = false;
    const mine = world.opened(a, { path: "file" });
    const others = world.opened(b, { path: "file" });
    const begun = world.run({
      beginEffect: {
        fence: world.fence(a),
        request: { slot: 0, sequence: 1 },
        effect: { kind: v1.EffectKind.EFFECT_APPEND, handleId: mine.id ?? null, offset: 7, length: 1 },
      },
    });
    assert.equal(begun.effect?.status, v1.EffectResult.Status.PARKED, "the other node was not asked");
    const node = { node: "n3", nodeIncarnation: 1, pendingId: begun.effect?.pendingId ?? 0, fileSize: 9 };
    world.ok({ lockPrepared: node });
    const granted = world.events.find((event) => event.kind === "pending-done")?.pendingDone?.result?.effect;
    assert.equal(granted?.effect?.offset, 9, "it goes behind what the other node has written");
    const write = { fence: world.fence(b), handleId: others.id ?? null, operation: "write" };
    assert.equal(world.ok({ breakLeases: { ...write, end: 9 } }).effect?.status, v1.EffectResult.Status.DONE);
    assert.ok(isParked(world.ok({ breakLeases: { ...write, end: 10 } })), "it may be cut off");
  },
  staleObservationAccepted: () => {
    const { world, a } = pair();
    const observed = { exists: false, revision: world.index };
    world.opened(a, { path: "new", disposition: D.CREATE });
    assertCode(world.open(a, { path: "new", disposition: D.CREATE, observed }), ErrorCode.NOT_READY);
  },
  effectNotHandedOver: () => {
    const { world, a } = pair();
    world.run(world.openCommand(a, { path: "new", disposition: D.CREATE }));
    world.kill("n1");
    assert.equal([...world.machine.effects()][0]?.owner, world.session(a).owner);
  },
  rendezvousByMember: () => {
    const owners = [0, 1].map(() => {
      const world = new World({ nodes: ["n1", "n2", "n3", "n4", "n5"] });
      const clients = Array.from({ length: 30 }, (_, i) => world.client(`c${i}`));
      world.kill("n1");
      return clients.map((client) => world.session(client).owner).join(" ");
    });
    assert.equal(owners[0], owners[1]);
  },
  appInstanceVersionIgnored: () => {
    const { world, a, b } = pair();
    const instance = { id: guid("app"), versionHigh: 1, versionLow: 0, hasVersion: true };
    world.opened(a, { appInstance: instance });
    assertCode(world.open(b, { appInstance: instance }), ErrorCode.FILE_FORCED_CLOSED);
  },
};

describe("planted bugs of the state", () => {
  afterEach(clearMutants);
  for (const { name, description } of MUTANTS) {
    it(`${name}: ${description}`, () => {
      SCENARIOS[name]();
      setMutant(name, true);
      assert.throws(SCENARIOS[name], "the planted bug was not noticed");
    });
  }
  it("have a switch each, all off", () => {
    assert.equal(MUTANTS.length, Object.keys(SCENARIOS).length);
    assert.throws(() => setMutant("nonsense" as MutantName, true), RangeError);
  });
});
