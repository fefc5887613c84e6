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
    assert.equal(world.machine.session(b.sessionId), undefined);
  });
});

describe("transfers", () => {
  it("freeze, release, thaw at the new owner; a repeated operation finds the first", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g", leaseKey: "k", lease: RWH });
    const operation = {
      id: "op",
      kind: "transfer",
      requestedBy: "me",
      items: [{ sessionId: a.sessionId, from: "n1", to: "n2", epochBefore: 1 }],
    };
    world.ok({ beginOperation: { operation } });
    assert.equal(world.ok({ beginOperation: { operation } }).repeated, true);
    assertCode(
      world.run({ beginOperation: { operation: { ...operation, forced: true } } }),
      ErrorCode.REQUEST_MISMATCH,
    );
    world.ok({ freezeSession: { fence: world.fence(a), operationId: "op" } });
    assertCode(world.open(a, { path: "x" }), ErrorCode.FROZEN);
    world.ok({ moveSession: { fence: world.fence(a), to: "n2", operationId: "op", fenceUs: 7_000 } });
    const session = world.session(a);
    assert.deepEqual(
      [session.owner, session.epoch, session.frozenBy, session.connected],
      ["n2", 2, "", false],
    );
    world.ok({ endOperation: { id: "op", state: "done" } });
    const item = [...world.machine.operations()][0]?.items?.[0];
    assert.deepEqual([item?.state, item?.epochAfter, item?.fenceUs], ["moved", 2, 7_000]);
    world.connect(a);
    assert.equal(world.reconnect(a, handle).open?.lease?.state, RWH);
  });

  it("a plan whose world has moved is refused; an operation that ends thaws what it froze", () => {
    const world = new World();
    const a = world.client("a");
    const items = [{ sessionId: a.sessionId, to: "n2", epochBefore: 7 }];
    assertCode(
      world.run({ beginOperation: { operation: { id: "x", kind: "transfer", items } } }),
      ErrorCode.PRECONDITION_FAILED,
    );
    world.ok({
      beginOperation: {
        operation: { id: "y", kind: "transfer", items: [{ sessionId: a.sessionId, to: "n2" }] },
      },
    });
    world.ok({ freezeSession: { fence: world.fence(a), operationId: "y" } });
    world.ok({ endOperation: { id: "y", state: "cancelled" } });
    assert.equal(world.open(a).error, undefined);
  });

  describe("a handle that moves alone", () => {
    /** A client at n1 with two handles, one of them with a lock and a lease, which an operation moves to n2. */
    function moved() {
      const world = new World();
      const a = world.client("a");
      world.file("file");
      const stays = world.opened(a, { guid: "s", path: "other" });
      const handle = world.opened(a, { guid: "g", leaseKey: "k", lease: RWH });
      assert.equal(world.lock(a, handle, 0, 10, { bucket: [1, 3] }).error, undefined);
      const handleId = handle.id ?? null;
      const items = [{ sessionId: a.sessionId, handleId, to: "n2", epochBefore: 1 }];
      world.ok({ beginOperation: { operation: { id: "op", kind: "transfer", items } } });
      world.ok({ freezeSession: { fence: world.fence(a), operationId: "op" } });
      assertCode(world.lock(a, stays, 0, 1), ErrorCode.FROZEN);
      const move = { fence: world.fence(a), to: "n2", handleId, operationId: "op" };
      const session = world.ok({ moveSession: move }).session ?? {};
      const events = world.events;
      const there = { ...a, sessionId: session.id ?? 0 };
      return { world, a, stays, handle, session, there, events };
    }

    it("has a session of its own, of the same client, at an epoch above; the rest stays and is thawed", () => {
      const { world, a, stays, handle, session, there, events } = moved();
      assert.equal(session.owner, "n2");
      assert.equal(session.derivedFrom, a.sessionId);
      assert.equal(session.epoch, 2);
      assert.equal(session.connected, false);
      assert.equal(world.handle(handle).sessionId, there.sessionId);
      assert.deepEqual(
        events.map(({ kind, node }) => [kind, node ?? ""]),
        [
          ["session-moved", ""],
          ["handle-moved", "n1"],
          ["session-frozen", "n1"],
          ["operation-moved", ""],
        ],
      );
      assert.equal(events[2]?.session?.frozenBy ?? "", "", "its owner hears that it is thawed");
      assert.equal(world.lock(a, stays, 0, 1).error, undefined);
      assert.equal([...world.machine.operations()][0]?.items?.[0]?.state, "moved");
    });

    it("is not its old session's any more, which is told where it is", () => {
      const { world, a, handle, session } = moved();
      assertCode(world.lock(a, handle, 20, 1), ErrorCode.FILE_CLOSED);
      const refused = world.reconnect(a, handle).error;
      assert.equal(refused?.code, ErrorCode.NOT_OWNER);
      assert.equal(refused?.sessionId, session.id);
      assert.equal(refused?.owner?.node, "n2");
    });

    it("takes lock, bucket and lease along, and outlives the next owner too", () => {
      const { world, a, handle, there } = moved();
      world.connect(there);
      const back = world.reconnect(there, handle);
      assert.equal(back.open?.lease?.state, RWH);
      assert.equal(world.handle(handle).locks?.length, 1);
      assert.equal(world.lock(there, handle, 0, 10, { bucket: [1, 3] }).lock?.replayed, true);
      world.kill("n2");
      world.restart();
      assert.notEqual(world.session(there).owner, "n2");
      assert.equal(world.session(a).owner, "n1", "the session that it left stays");
      world.connect(there);
      assert.equal(world.reconnect(there, handle).open?.lease?.state, RWH);
      assertCode(world.lock(there, handle, 0, 10), ErrorCode.LOCK_NOT_GRANTED);
    });

    it("calls of it that wait are sent to where it is, and not answered for good", () => {
      const world = new World();
      const a = world.client("a");
      const b = world.client("b");
      world.file("file");
      const his = world.opened(b);
      const handle = world.opened(a, { guid: "g" });
      world.lock(b, his, 0, 10);
      const request = { slot: 1, sequence: 1 };
      const wait = world.lockCommand(a, handle, [{ offset: 0, length: 10, exclusive: true }], { request });
      assert(isParked(world.run(wait)));
      world.ok({ moveSession: { fence: world.fence(a), to: "n2", handleId: handle.id ?? null } });
      const [done] = world.eventsOf("pending-done");
      assert.equal(done?.pendingDone?.result?.error?.code, ErrorCode.NOT_OWNER);
      assert.equal(done?.pendingDone?.result?.error?.sessionId, world.handle(handle).sessionId);
      assert.equal(done?.node, "n1");
      assertCode(world.run(wait), ErrorCode.FILE_CLOSED);
    });

    it("only a persistent one, and only to another node", () => {
      const { world, handle, there } = moved();
      const again = { fence: world.fence(there), to: "n2", handleId: handle.id ?? null };
      assertCode(world.run({ moveSession: again }), ErrorCode.NO_CHANGE);
      const c = world.client("c");
      const kind = v1.HandleKind.DURABLE;
      const durable = world.opened(c, { path: "durable", kind, leaseKey: "d", lease: RWH, guid: "d" });
      const move = { fence: world.fence(c), to: "n2", handleId: durable.id ?? null };
      assertCode(world.run({ moveSession: move }), ErrorCode.PRECONDITION_FAILED);
    });

    it("is found by its client's next session, in place of the one that it left", () => {
      const { world, a, handle, there } = moved();
      const next = world.client("a", "n3", { previousSessionId: a.sessionId });
      assert.equal(world.session(there).replacedBy, next.sessionId);
      assert.equal(world.reconnect(next, handle).error, undefined);
      assert.equal(world.handle(handle).sessionId, next.sessionId);
    });
  });

  it("by force: only under the present epoch", () => {
    const world = new World();
    const a = world.client("a");
    const stale = { ...world.fence(a), epoch: 9 };
    assertCode(world.run({ moveSession: { fence: stale, to: "n2", forced: true } }), ErrorCode.STALE_EPOCH);
    world.ok({ moveSession: { fence: { ...world.fence(a), node: "n3" }, to: "n2", forced: true } });
    assert.equal(world.session(a).owner, "n2");
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

describe("resume keys", () => {
  function keys(): World {
    const world = new World({ nodes: [] });
    world.register("s1", 1, { foreign: true });
    world.register("s2", 1, { foreign: true });
    return world;
  }
  const claim = (node: string, more: v1.IClaimKey = {}) => ({
    claimKey: { key: "k", node, nodeIncarnation: 1, ...more },
  });
  const store = (node: string, epoch: number, more: v1.IStoreKey = {}) => ({
    storeKey: { key: "k", node, nodeIncarnation: 1, epoch, state: Uint8Array.of(epoch), ...more },
  });

  it("are fenced by owner, incarnation, epoch and version", () => {
    const world = keys();
    assert.equal(world.ok(claim("s1")).key?.epoch, 1);
    assert.equal(world.ok(claim("s1")).repeated, true);
    assertCode(world.run(claim("s2")), ErrorCode.NOT_OWNER);
    assert.equal(world.ok(store("s1", 1)).key?.version, 2);
    assertCode(world.run(store("s1", 2)), ErrorCode.STALE_EPOCH);
    assertCode(world.run(store("s2", 1)), ErrorCode.NOT_OWNER);
    assertCode(world.run(store("s1", 1, { expectVersion: 1 })), ErrorCode.PRECONDITION_FAILED);
    world.ok(store("s1", 1, { expectVersion: 2 }));
    assertCode(
      world.run(store("s1", 1, { state: new Uint8Array(limits.keyStateBytesMax + 1) })),
      ErrorCode.LIMIT_EXCEEDED,
    );
    world.ok(store("s1", 1, { state: new Uint8Array(limits.keyStateBytesMax) }));
  });

  it("move to their like when their owner dies, with their unresolved effects; the late write of the dead is refused", () => {
    const world = keys();
    world.register("ours", 1);
    world.ok(claim("s1", { state: Uint8Array.of(9) }));
    const fence = { node: "s1", nodeIncarnation: 1, epoch: 1 };
    const effect = { kind: v1.EffectKind.EFFECT_FOREIGN, key: "k", description: Uint8Array.of(1) };
    const begun = world.ok({ beginEffect: { fence, effect } });
    world.kill("s1");
    assert.equal(world.machine.key("k")?.owner, "s2");
    assert.equal(world.machine.key("k")?.epoch, 2);
    assert.deepEqual(Buffer.from(world.machine.key("k")?.state ?? []), Buffer.from([9]));
    assert.equal([...world.machine.effects()][0]?.owner, "s2");
    assertCode(world.run(store("s1", 1)), ErrorCode.STALE_EPOCH);
    assertCode(world.finish(begun.effect?.effect ?? {}), ErrorCode.NOT_OWNER);
    assertCode(
      world.run({ releaseKey: { key: "k", node: "s2", nodeIncarnation: 1, epoch: 2 } }),
      ErrorCode.PRECONDITION_FAILED,
    );
    world.finish([...world.machine.effects()][0] ?? {});
    world.ok({ releaseKey: { key: "k", node: "s2", nodeIncarnation: 1, epoch: 2 } });
  });

  it("wait for a claim when nobody is left, and expire", () => {
    const world = keys();
    world.ok(claim("s1", { timeoutMs: 5_000 }));
    world.kill("s2");
    world.kill("s1");
    assertCode(world.run(store("s1", 1)), ErrorCode.LEASE_LOST);
    assertCode(
      world.run({ releaseKey: { key: "k", node: "s1", nodeIncarnation: 1, epoch: 1 } }),
      ErrorCode.LEASE_LOST,
    );
    world.pass(4_999);
    assert.equal(world.machine.key("k")?.owner, "s1");
    world.restart();
    world.pass(1);
    assert.equal(world.machine.key("k"), undefined);
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
    assert.equal(world.open(a, { guid: "g0", replay: true }).error, undefined);
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
