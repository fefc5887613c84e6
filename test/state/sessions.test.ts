import assert from "node:assert/strict";
import { createStateMachine, FORMAT_VERSION } from "../../src/state/index.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { ALL, assertCode, guid, isParked, RWH, World } from "./harness.js";
import { inEachSituation } from "./situations.js";

const { ErrorCode } = v1;

describe("smb2.session", () => {
  it("reconnect1, reconnect2: naming the previous session ends it; another principal's is left alone", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b");
    world.client("b2", "n1", { clientGuid: a.guid, principal: "b", previousSessionId: a.sessionId });
    assert.equal(world.session(a).replacedBy, 0);
    world.client("c", "n2", { clientGuid: b.guid, principal: "b", previousSessionId: b.sessionId });
    assertCode(world.open(b), ErrorCode.UNKNOWN_SESSION);
  });

  it("opening again with the same guid and token gives the same session", () => {
    const world = new World();
    const a = world.client("a");
    const command = {
      openSession: {
        clientGuid: a.guid,
        resumeToken: a.token,
        principal: "a",
        node: "n2",
        nodeIncarnation: 1,
      },
    };
    const again = world.ok(command);
    assert.equal(again.repeated, true);
    assert.equal(again.session?.id, a.sessionId);
    assert.equal(world.machine.counts().sessions, 1);
    assertCode(
      world.run({ openSession: { ...command.openSession, principal: "m" } }),
      ErrorCode.ACCESS_DENIED,
    );
  });

  it("elsewhere: allowed when the owner is down or said that the client is gone, otherwise NOT_OWNER", () => {
    const world = new World();
    const a = world.client("a");
    const refused = world.run(world.connectCommand(a, "n2"));
    assertCode(refused, ErrorCode.NOT_OWNER);
    assert.equal(refused.error?.owner?.grpcAddress, "n1:1");
    assert.equal(refused.error?.epoch, 1);
    world.disconnect(a);
    world.connect(a, "n2");
    assert.equal(world.session(a).owner, "n2");
    assert.equal(world.session(a).epoch, 2);
  });

  it("elsewhere: not while the owner has an effect of it in hand", () => {
    const world = new World();
    const a = world.client("a");
    const begun = world.run(world.openCommand(a, {}));
    world.disconnect(a);
    assertCode(world.run(world.connectCommand(a, "n2")), ErrorCode.NOT_OWNER);
    world.perform(begun);
    world.connect(a, "n2");
  });

  inEachSituation("an expiry names connection and epoch: who came back first wins", (lose) => {
    const world = new World();
    const a = world.client("a");
    world.opened(a, { guid: "g" });
    lose(world, a);
    world.nowMs += 60_000;
    const due = world.machine.due(world.nowMs, 10);
    assert.equal(due.length, 1);
    world.connect(a);
    for (const command of due) assertCode(world.run(command), ErrorCode.NO_CHANGE);
    assert.equal(world.machine.counts().handles, 1);
  });

  it("timeouts are lower bounds: a session outlives its longest handle promise", () => {
    const world = new World();
    const a = world.client("a", "n1", { timeoutMs: 1_000 });
    const handle = world.opened(a, { guid: "g", timeoutMs: 30_000 });
    world.disconnect(a);
    world.pass(29_999);
    assert.equal(world.handle(handle).state, v1.HandleState.HANDLE_OPEN);
    world.pass(1);
    assert.equal(world.machine.session(a.sessionId), undefined);
    assert.equal(world.machine.counts().handles, 0);
  });

  it("session timeouts are clamped", () => {
    const world = new World();
    assert.equal(
      world.session(world.client("a", "n1", { timeoutMs: 1 })).timeoutMs,
      limits.sessionTimeoutMsMin,
    );
    assert.equal(
      world.session(world.client("b", "n1", { timeoutMs: 1e9 })).timeoutMs,
      limits.sessionTimeoutMsMax,
    );
    assert.equal(
      world.session(world.client("c", "n1", { timeoutMs: 0 })).timeoutMs,
      limits.sessionTimeoutMsDefault,
    );
  });

  it("a cordoned node gets no new sessions and no takeovers while another is up", () => {
    const world = new World();
    world.ok({ scheduleNode: { node: "n2", cordoned: true, reason: "disk" } });
    const open = { clientGuid: guid("x"), resumeToken: guid("y"), node: "n2", nodeIncarnation: 1 };
    assertCode(world.run({ openSession: open }), ErrorCode.NOT_READY);
    const clients = Array.from({ length: 20 }, (_, i) => world.client(`c${i}`));
    world.kill("n1");
    for (const client of clients) assert.equal(world.session(client).owner, "n3");
  });
});

describe("nodes", () => {
  it("the same node with a higher incarnation takes its sessions over, epoch + 1", () => {
    const world = new World();
    const a = world.client("a");
    world.opened(a, { guid: "g" });
    world.register("n1", 2);
    assert.equal(world.session(a).owner, "n1");
    assert.equal(world.session(a).ownerIncarnation, 2);
    assert.equal(world.session(a).epoch, 2);
    assertCode(world.register("n1", 1), ErrorCode.PRECONDITION_FAILED);
    world.kill("n1");
    assertCode(world.register("n1", 2), ErrorCode.LEASE_LOST);
  });

  it("the last node's sessions wait and are adopted by whoever registers next", () => {
    const world = new World({ nodes: ["n1"] });
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    world.kill("n1");
    assert.equal(world.session(a).owner, "n1");
    world.register("n2", 1);
    assert.equal(world.session(a).owner, "n2");
    world.connect(a);
    assert.equal(world.reconnect(a, handle).error, undefined);
  });

  it("a failover is recorded with its counts, and who came back", () => {
    const world = new World();
    const [a, b] = [world.client("a"), world.client("b")];
    world.opened(a, { guid: "g" });
    world.kill("n1");
    world.connect(a);
    const record = () => [...world.machine.failovers()][0];
    assert.equal(record()?.sessions, 2);
    assert.equal(record()?.handles, 1);
    assert.equal(record()?.sessionsBack, 1);
    world.pass(60_000);
    assert.equal(record()?.sessionsLost, 1);
    assert.equal(record()?.sessionsMovedOn ?? 0, 0);
    assert.equal(world.machine.session(b.sessionId), undefined);
  });

  it("a session that moves again before its client is back is waited for by the later record alone", () => {
    const world = new World();
    const a = world.client("a");
    world.kill("n1");
    world.kill(world.session(a).owner ?? "");
    const counts = () =>
      [...world.machine.failovers()].map((record) => [
        record.sessions ?? 0,
        record.sessionsBack ?? 0,
        record.sessionsLost ?? 0,
        record.sessionsMovedOn ?? 0,
      ]);
    assert.deepEqual(counts(), [
      [1, 0, 1, 1],
      [1, 0, 0, 0],
    ]);
    world.connect(a);
    assert.deepEqual(counts(), [
      [1, 0, 1, 1],
      [1, 1, 0, 0],
    ]);
  });
});

describe("parked calls and frozen sessions", () => {
  for (const end of ["moved", "thawed", "owner killed"]) {
    it(`what became possible while its session was frozen is done when it is ${end}`, () => {
      const world = new World();
      const a = world.client("a");
      const b = world.client("b", "n2");
      world.file("file");
      world.opened(a, { leaseKey: "k", lease: RWH });
      assert(isParked(world.open(b)));
      world.ok({ freezeSession: { fence: world.fence(b), operationId: "op" } });
      world.ack(a, "k", 3);
      assert.equal([...world.machine.pending()].length, 1, "a frozen session gets nothing");
      if (end === "moved") world.ok({ moveSession: { fence: world.fence(b), to: "n3", operationId: "op" } });
      else if (end === "thawed")
        world.ok({ freezeSession: { fence: world.fence(b), operationId: "op", thaw: true } });
      else world.kill("n2");
      const done = world.eventsOf("pending-done")[0];
      assert.equal(done?.node, world.session(b).owner);
      assert.equal(done?.pendingDone?.result?.open?.status, v1.OpenResult.Status.DONE);
    });
  }

  it("a node that begins to serve a file learns of locks that are announced", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2");
    const handle = world.opened(a, { guid: "g" });
    world.opened(b);
    const parked = world.lock(a, handle, 5, 5);
    const announced = () => [...world.machine.preparingLocks("ca", handle.fileId ?? "")];
    assert.equal(announced()[0]?.offset, 5);
    world.ok({ lockPrepared: { node: "n2", nodeIncarnation: 1, pendingId: parked.lock?.pendingId ?? 0 } });
    assert.equal(announced().length, 0);
  });
});

describe("limits and versions", () => {
  it("a record of a newer version is refused with a sentence", () => {
    const machine = createStateMachine();
    const value = v1.ClusterRecord.encode({ formatVersion: FORMAT_VERSION + 1 }).finish();
    assert.throws(
      () => machine.load([{ key: Uint8Array.of(1), value }]),
      /format version 2; this program knows 1/,
    );
    assert.throws(
      () => createStateMachine().load([{ key: Uint8Array.of(0x7f), value }]),
      /record of kind 0x7f, which this version does not know/,
    );
  });

  it("guids, paths, labels and blobs are checked at their edges", () => {
    const world = new World();
    const a = world.client("a");
    const open = (change: Partial<v1.IOpenHandle>) =>
      world.run({ openHandle: { ...world.openCommand(a, {}).openHandle, ...change } });
    assertCode(open({ handleId: new Uint8Array(15) }), ErrorCode.INVALID_ARGUMENT);
    assertCode(open({ createGuid: new Uint8Array(17) }), ErrorCode.INVALID_ARGUMENT);
    assertCode(open({ share: "none" }), ErrorCode.UNKNOWN_SHARE);
    for (const path of ["a//b", "../x", "a/./b", "/a", "a/", "a\0b", "x".repeat(256)])
      assertCode(open({ path }), ErrorCode.OBJECT_NAME_INVALID);
    assertCode(open({ blob: new Uint8Array(limits.blobBytesMax + 1) }), ErrorCode.LIMIT_EXCEEDED);
    assertCode(open({ kind: 99 as v1.HandleKind }), ErrorCode.INVALID_ARGUMENT);
    assertCode(open({ disposition: 99 as v1.Disposition }), ErrorCode.INVALID_PARAMETER);
    assert.equal(open({ path: "x".repeat(255), blob: new Uint8Array(limits.blobBytesMax) }).error, undefined);
    assertCode(world.run({}), ErrorCode.UNSUPPORTED_VERSION);
  });

  it("a handle id is used once", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2");
    world.opened(a, { id: "same", guid: "g" });
    assertCode(world.open(b, { id: "same", guid: "g", path: "x" }), ErrorCode.INVALID_ARGUMENT);
  });

  it("a batch answers each command and is no deeper than one", () => {
    const world = new World();
    const result = world.run({
      batch: { commands: [{ advanceTime: {} }, { batch: {} }, { removeNode: { node: "n9" } }] },
    });
    const codes = result.batch?.results?.map((one) => one.error?.code ?? 0);
    assert.deepEqual(codes, [0, ErrorCode.INVALID_ARGUMENT, ErrorCode.UNKNOWN_NODE]);
    const many = Array.from({ length: limits.batchCommandsMax + 1 }, () => ({ advanceTime: {} }));
    assertCode(world.run({ batch: { commands: many } }), ErrorCode.LIMIT_EXCEEDED);
    assert.equal(world.run({ batch: { commands: many.slice(1) } }).error, undefined);
  });

  it("tombstones are bounded: the oldest go", () => {
    const world = new World();
    const a = world.client("a");
    world.file("file");
    for (let i = 0; i <= limits.tombstonesPerSessionMax; i++)
      world.close(a, world.opened(a, { guid: `g${i}` }));
    const kept = [...world.machine.handlesOfSession(a.sessionId)];
    assert.equal(kept.length, limits.tombstonesPerSessionMax);
    assertCode(world.open(a, { guid: "g1", replay: true }), ErrorCode.FILE_CLOSED);
    assert.equal(world.machine.session(a.sessionId)?.tombstonesDropped, true);
    world.restart();
  });

  it("a create that completes after its client went is given its deadline", () => {
    const world = new World();
    const a = world.client("a");
    const begun = world.run(world.openCommand(a, { guid: "g", timeoutMs: 2_000, access: ALL }));
    world.disconnect(a);
    world.pass(1_000);
    assert.equal(world.perform(begun).open?.handle?.connected, false);
    world.pass(999);
    assert.equal(world.machine.counts().handles, 1);
    world.pass(1);
    assert.equal(world.machine.counts().handles, 0);
  });
});
