import assert from "node:assert/strict";
import { v1 } from "../../src/wire/index.js";
import { assertCode, isParked, RWH, World } from "./harness.js";

const { ErrorCode } = v1;

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

    it("is in the flight recorder as a session that moved: who came back, and what the client saw", () => {
      const { world, session, there } = moved();
      const record = () => [...world.machine.failovers()].at(-1) ?? {};
      assert.deepEqual([record().sessions, record().handles, record().sessionsBack], [1, 1, 0]);
      world.connect(there);
      assert.equal(record().sessionsBack, 1);
      const epoch = session.epoch ?? 0;
      const note = (node: string, pause: v1.ISessionPause) =>
        world.ok({
          notePauses: {
            node,
            nodeIncarnation: 1,
            pauses: [{ sessionId: there.sessionId, epoch, ...pause }],
          },
        });
      note("n1", { reassignUs: 2_000 });
      note("n2", { leadUs: 6_000, reclaimUs: 5_000, clientGapUs: 11_000 });
      const { reassignUs, reclaimUs, clientGapUs, sessionsMeasured, slowestSession } = record();
      assert.deepEqual(
        [
          (record().fenceUs ?? 0) + (reassignUs ?? 0),
          reclaimUs,
          clientGapUs,
          sessionsMeasured,
          slowestSession,
        ],
        [6_000, 5_000, 11_000, 1, there.sessionId],
      );
      assert.equal([...world.machine.operations()][0]?.items?.[0]?.clientGapUs, 11_000);
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
