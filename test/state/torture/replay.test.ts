import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import {
  ALL,
  assertCode,
  effectOf,
  isParked,
  R,
  READ,
  RH,
  RW,
  RWH,
  SHARE_NONE,
  World,
  WRITE,
} from "../harness.js";
import { inEachSituation } from "../situations.js";

const { ErrorCode } = v1;
const D = v1.Disposition;
const A = v1.CreateAction;

describe("smb2.replay", () => {
  it("replay-regular: without a guid nothing is replayed", () => {
    const world = new World();
    const a = world.client("a");
    world.opened(a, { disposition: D.CREATE });
    assertCode(world.open(a, { disposition: D.CREATE, replay: true }), ErrorCode.OBJECT_NAME_COLLISION);
    const second = world.open(a, { disposition: D.OPEN, replay: true });
    assert.equal(second.open?.replayed, false);
    world.opened(a, { path: "other", shareMode: SHARE_NONE });
    assertCode(world.open(a, { path: "other", replay: true }), ErrorCode.SHARING_VIOLATION);
  });

  const dispositions: [disposition: v1.Disposition, exists: boolean, action: v1.CreateAction][] = [
    [D.CREATE, false, A.CREATED],
    [D.OPEN, true, A.OPENED],
    [D.OPEN_IF, false, A.CREATED],
    [D.OPEN_IF, true, A.OPENED],
    [D.OVERWRITE, true, A.OVERWRITTEN],
    [D.OVERWRITE_IF, false, A.CREATED],
    [D.OVERWRITE_IF, true, A.OVERWRITTEN],
    [D.SUPERSEDE, false, A.CREATED],
    [D.SUPERSEDE, true, A.SUPERSEDED],
  ];
  for (const deleteOnClose of [false, true]) {
    inEachSituation(
      `B2: every disposition gives its first answer again${deleteOnClose ? ", delete on close" : ""}`,
      (lose) => {
        for (const [disposition, exists, action] of dispositions) {
          const world = new World();
          const a = world.client("a");
          if (exists) world.file("file");
          const spec = { guid: "g", disposition, access: ALL, deleteOnClose };
          const handle = world.opened(a, spec);
          assert.equal(handle.createAction, action, `${v1.Disposition[disposition]} ${exists}`);
          for (let round = 0; round < 3; round++) {
            lose(world, a);
            world.connect(a);
            const again = world.run(world.openCommand(a, { ...spec, replay: true }));
            assert.equal(effectOf(again), null, "nothing is done twice");
            assert.deepEqual(again.open?.handle?.id, handle.id);
            assert.equal(again.open?.handle?.createAction, action);
          }
          world.close(a, handle);
          assert.equal(world.files.has("ca:file"), !deleteOnClose);
        }
      },
    );
  }

  it("the error of a create is not kept under its guid", () => {
    const world = new World();
    const a = world.client("a");
    assertCode(world.open(a, { guid: "g", disposition: D.OPEN }), ErrorCode.OBJECT_NAME_NOT_FOUND);
    world.file("file");
    assert.equal(
      world.open(a, { guid: "g", disposition: D.OPEN, replay: true }).open?.handle?.createAction,
      A.OPENED,
    );
  });

  it("an effect that fails leaves no reservation", () => {
    const world = new World();
    const a = world.client("a");
    const begun = world.run(world.openCommand(a, { guid: "g", disposition: D.CREATE }));
    assertCode(world.open(a, { guid: "g", replay: true }), ErrorCode.FILE_NOT_AVAILABLE);
    assertCode(world.perform(begun, { code: ErrorCode.DISK_FULL, message: "full" }), ErrorCode.DISK_FULL);
    assert.equal(world.machine.counts().handles, 0);
    assert.equal(world.open(a, { guid: "g", disposition: D.CREATE, replay: true }).error, undefined);
  });

  it("replay-dhv2-oplock2, 3: share mode and access of a replay are not applied", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g", shareMode: { read: true } });
    const again = world.open(a, { guid: "g", replay: true, shareMode: SHARE_NONE, access: READ });
    assert.deepEqual(again.open?.handle?.id, handle.id);
    assert.equal(again.open?.handle?.shareMode?.read, true);
    assert.equal(again.open?.handle?.grantedAccess, handle.grantedAccess);
  });

  it("replay-dhv2-lease1, 2: the reply has the present lease, also when less is asked", () => {
    const world = new World();
    const a = world.client("a");
    world.opened(a, { guid: "g", leaseKey: "k", lease: RH });
    world.opened(a, { guid: "g2", leaseKey: "k", lease: RWH });
    const again = world.open(a, { guid: "g", leaseKey: "k", lease: R, replay: true });
    assert.equal(again.open?.lease?.state, RWH);
    assert.equal(again.open?.lease?.epoch, world.lease(a, "k")?.epoch);
  });

  it("replay-dhv2-lease3, oplock-lease: another lease key, or one where there was none, is ACCESS_DENIED", () => {
    const world = new World();
    const a = world.client("a");
    world.opened(a, { guid: "g", leaseKey: "k", lease: RWH });
    assertCode(
      world.open(a, { guid: "g", leaseKey: "other", lease: RWH, replay: true }),
      ErrorCode.ACCESS_DENIED,
    );
    world.opened(a, { path: "second", guid: "g2" });
    assertCode(
      world.open(a, { path: "second", guid: "g2", leaseKey: "k2", lease: R, replay: true }),
      ErrorCode.ACCESS_DENIED,
    );
  });

  it("replay-dhv2-lease-oplock: a leased create replayed without a lease gives the lease", () => {
    const world = new World();
    const a = world.client("a");
    world.opened(a, { guid: "g", leaseKey: "k", lease: RWH });
    assert.equal(world.open(a, { guid: "g", replay: true }).open?.lease?.state, RWH);
  });

  for (const how of ["close", "ack"]) {
    it(`dhv2-pending1n-vs-violation-lease-${how}-sane`, () => {
      const world = new World();
      const a = world.client("a");
      const b = world.client("b", "n2");
      world.file("file");
      const handle = world.opened(a, { leaseKey: "k", lease: RH, shareMode: SHARE_NONE });
      const spec = { guid: "g" };
      assert(isParked(world.open(b, spec)));
      assertCode(world.open(b, { ...spec, replay: true }), ErrorCode.FILE_NOT_AVAILABLE);
      assertCode(world.open(b, spec), ErrorCode.FILE_NOT_AVAILABLE);
      if (how === "close") world.close(a, handle);
      else world.ack(a, "k", R);
      const after = world.open(b, { ...spec, replay: true });
      if (how === "close") assert.equal(after.open?.replayed, true);
      else assertCode(after, ErrorCode.SHARING_VIOLATION);
    });
  }

  for (const [variant, lease] of [
    ["n", undefined],
    ["l", RWH],
  ] as const) {
    inEachSituation(`dhv2-pending1${variant}-vs-lease-sane`, (lose) => {
      const world = new World();
      const a = world.client("a");
      const b = world.client("b", "n3");
      world.file("file");
      world.opened(a, { guid: "ga", leaseKey: "k", lease: RWH });
      const spec = { guid: "g", ...(lease === undefined ? {} : { leaseKey: "kb", lease }) };
      assert(isParked(world.open(b, spec)));
      lose(world, b);
      world.connect(b);
      assertCode(world.open(b, { ...spec, replay: true }), ErrorCode.FILE_NOT_AVAILABLE);
      if (!world.session(a).connected) world.connect(a);
      const session = world.session(a);
      if ((session.connection ?? 0) > 1) {
        const held = [...world.machine.handlesOfSession(a.sessionId)][0] ?? {};
        assert.equal(world.reconnect(a, held).error, undefined);
      }
      assert.equal(world.ack(a, "k", RH).error, undefined);
      const after = world.open(b, { ...spec, replay: true });
      assert.equal(after.open?.replayed, true);
      if (lease !== undefined) assert.equal(after.open?.lease?.state, RH);
    });
  }

  it("channel-sequence: the table, for effects on a handle", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { access: ALL });
    const use = (sequence: number) =>
      world.run({
        useHandle: { fence: world.fence(a), handleId: handle.id ?? null, channelSequence: sequence },
      });
    const table: [sequence: number, ok: boolean][] = [
      [0, true],
      [0x8000, false],
      [0x8001, false],
      [0xc123, false],
      [0xffff, false],
      [0x7fff, true],
      [0x7ffe, false],
      [0, false],
      [0x1234, false],
      [0x8000, true],
      [0xffff, true],
      [0, true],
      [1, true],
      [0, false],
      [1, true],
      [0xffff, false],
    ];
    for (const [sequence, ok] of table) {
      const result = use(sequence);
      if (ok) assert.equal(result.error, undefined, sequence.toString(16));
      else assertCode(result, ErrorCode.FILE_NOT_AVAILABLE);
      const effect = {
        kind: v1.EffectKind.EFFECT_SET_ATTRIBUTES,
        handleId: handle.id ?? null,
      };
      const set = world.run({ beginEffect: { fence: world.fence(a), channelSequence: sequence, effect } });
      if (ok) world.perform(set);
      else assertCode(set, ErrorCode.FILE_NOT_AVAILABLE);
    }
  });

  it("replay4: the sequence survives the owner", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    world.ok({ useHandle: { fence: world.fence(a), handleId: handle.id ?? null, channelSequence: 5 } });
    world.kill("n1");
    world.restart();
    world.connect(a);
    world.reconnect(a, handle);
    assertCode(
      world.run({ useHandle: { fence: world.fence(a), handleId: handle.id ?? null, channelSequence: 4 } }),
      ErrorCode.FILE_NOT_AVAILABLE,
    );
  });

  inEachSituation(
    "replay5: without the flag DUPLICATE_OBJECTID (FNA on a scale-out share), with it the handle",
    (lose) => {
      for (const share of ["ca", "so"]) {
        const world = new World();
        const a = world.client("a");
        const handle = world.opened(a, { share, guid: "g" });
        lose(world, a);
        world.connect(a);
        assertCode(
          world.open(a, { share, guid: "g" }),
          share === "so" ? ErrorCode.FILE_NOT_AVAILABLE : ErrorCode.DUPLICATE_OBJECTID,
        );
        const again = world.open(a, { share, guid: "g", replay: true });
        assert.deepEqual(again.open?.handle?.id, handle.id);
        assert.equal(again.open?.handle?.kind, v1.HandleKind.PERSISTENT);
      }
    },
  );

  it("replay6: without the flag DUPLICATE_OBJECTID; another disposition with the flag is tolerated", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    assertCode(world.open(a, { guid: "g" }), ErrorCode.DUPLICATE_OBJECTID);
    const again = world.open(a, { guid: "g", replay: true, disposition: D.OVERWRITE_IF });
    assert.deepEqual(again.open?.handle?.id, handle.id);
  });

  it("a guid that was used again: the later create is answered, though the earlier handle is still open", () => {
    const world = new World();
    world.file("file");
    const a = world.client("a");
    const first = world.opened(a, { guid: "g" });
    world.lock(a, first, 0, 1);
    const second = world.opened(a, { guid: "g" });
    assertCode(world.open(a, { guid: "g" }), ErrorCode.DUPLICATE_OBJECTID);
    const replayed = world.opened(a, { guid: "g", replay: true });
    assert.deepEqual(replayed.id, second.id);
  });

  it("durable-reconnect-replay2: from a second live session DUPLICATE_OBJECTID, the handle is still fine", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    const second = world.client("a", "n2", { clientGuid: a.guid, resumeToken: new Uint8Array(16).fill(3) });
    assertCode(world.open(second, { guid: "g", replay: true }), ErrorCode.DUPLICATE_OBJECTID);
    assert.equal(world.lock(a, handle, 0, 1).lock?.parked ?? false, false);
  });

  it("durable-reconnect-replay3: with the previous session named the replay gives CREATED, the old one is deleted", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g", disposition: D.CREATE });
    const next = world.client("a", "n2", {
      clientGuid: a.guid,
      previousSessionId: a.sessionId,
    });
    assertCode(world.open(a, { path: "other" }), ErrorCode.USER_SESSION_DELETED);
    const again = world.open(next, { guid: "g", disposition: D.CREATE, replay: true });
    assert.equal(again.open?.handle?.createAction, A.CREATED);
    assert.deepEqual(again.open?.handle?.id, handle.id);
    assert.equal(again.open?.handle?.sessionId, next.sessionId);
  });

  it("replay-twice-durable: after use the flag is ignored for a durable handle", () => {
    const world = new World();
    const a = world.client("a");
    const spec = { share: "plain", guid: "g", kind: v1.HandleKind.DURABLE, leaseKey: "k", lease: RWH };
    const handle = world.opened(a, spec);
    assert.equal(handle.kind, v1.HandleKind.DURABLE);
    assert.equal(world.open(a, { ...spec, replay: true }).open?.replayed, true);
    assert.equal(world.open(a, { ...spec, replay: true }).open?.replayed, true);
    world.ok({ useHandle: { fence: world.fence(a), handleId: handle.id ?? null } });
    const again = world.open(a, { ...spec, replay: true });
    assert.equal(again.open?.replayed, false);
    assert.notDeepEqual(again.open?.handle?.id, handle.id);
    assert.equal(again.open?.handle?.createAction, A.OPENED);
  });

  it("a closed handle: the replay is neither answered nor executed", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    world.close(a, handle);
    assertCode(world.open(a, { guid: "g", replay: true }), ErrorCode.FILE_CLOSED);
    assert.equal(world.machine.counts().handles, 0);
    world.restart();
    assertCode(world.open(a, { guid: "g", replay: true }), ErrorCode.FILE_CLOSED);
  });

  it("by guid alone from another client guid: more has to agree", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2", { principal: "a" });
    const c = world.client("c", "n2");
    world.opened(a, { guid: "g" });
    assertCode(world.open(b, { guid: "g", replay: true }), ErrorCode.FILE_NOT_AVAILABLE);
    world.disconnect(a);
    assertCode(world.open(c, { guid: "g", replay: true }), ErrorCode.ACCESS_DENIED);
    assertCode(world.open(b, { guid: "g", replay: true, access: READ }), ErrorCode.CONTEXT_MISMATCH);
    assert.equal(world.open(b, { guid: "g", replay: true, access: READ | WRITE }).open?.replayed, true);
  });
});

describe("reply cache (semantics B6)", () => {
  const request = { slot: 0, sequence: 1 };

  inEachSituation("a repeat gets the first answer, after three failovers too", (lose) => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    const command = () =>
      world.lockCommand(a, handle, [{ offset: 0, length: 1, exclusive: true, failImmediately: true }], {
        request,
      });
    const first = world.run(command());
    assert.equal(first.error, undefined);
    for (let i = 0; i < 3; i++) {
      lose(world, a);
      world.connect(a);
      world.reconnect(a, handle);
      const again = world.run(command());
      assert.equal(again.repeated, true);
      assert.equal(again.revision, first.revision);
      assert.equal(again.lock?.held?.length, 1);
    }
  });

  // Cluster seed 100162: news of the file from between the two took back what the answer had said of its tail.
  it("a repeated open that resumes says what holds at its own entry, and of which entry that is", () => {
    const world = new World();
    const a = world.client("a");
    const command = world.openCommand(a, { guid: "g", request });
    const first = world.perform(world.run(command));
    assert.equal(first.error, undefined);
    const handle = world.opened(world.client("b"), { guid: "h", path: "other" });
    assert.ok(handle);
    const again = world.run(command);
    assert.equal(again.repeated, true);
    assert.equal(again.open?.status, v1.OpenResult.Status.DONE);
    assert.equal(again.revision, world.index);
  });

  it("the same id with other arguments is refused and never executed", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a);
    world.ok(world.lockCommand(a, handle, [{ offset: 0, length: 1, failImmediately: true }], { request }));
    assertCode(
      world.run(world.lockCommand(a, handle, [{ offset: 0, length: 2, failImmediately: true }], { request })),
      ErrorCode.REQUEST_MISMATCH,
    );
    assertCode(world.open(a, { path: "x", request }), ErrorCode.REQUEST_MISMATCH);
    assert.equal(world.handle(handle).locks?.length, 1);
  });

  it("an older sequence is refused, a gap is not, a slot beyond the last is", () => {
    const world = new World();
    const a = world.client("a");
    const open = (slot: number, sequence: number) => world.open(a, { request: { slot, sequence } });
    assert.equal(open(0, 5).error, undefined);
    assertCode(open(0, 4), ErrorCode.SEQUENCE_MISORDERED);
    assert.equal(open(0, 9).error, undefined);
    assert.equal(open(63, 1).error, undefined);
    assertCode(open(64, 1), ErrorCode.LIMIT_EXCEEDED);
  });

  it("a final refusal is an answer, a retryable one is not", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2");
    const final = { guid: "g", disposition: D.OPEN, path: "none", request };
    assertCode(world.open(a, final), ErrorCode.OBJECT_NAME_NOT_FOUND);
    world.file("none");
    const again = world.open(a, final);
    assert.equal(again.repeated, true);
    assertCode(again, ErrorCode.OBJECT_NAME_NOT_FOUND);
    world.opened(a, { guid: "held" });
    world.disconnect(a);
    const retry = { request: { slot: 1, sequence: 1 } };
    assertCode(world.open(b, retry), ErrorCode.FILE_NOT_AVAILABLE);
    world.pass(60_000);
    assert.equal(world.open(b, retry).error, undefined);
  });

  it("a second call in a slot whose first is under way has to wait", () => {
    const world = new World();
    const a = world.client("a");
    world.run(world.openCommand(a, { request }));
    assertCode(
      world.open(a, { path: "b", request: { slot: 0, sequence: 2 } }),
      ErrorCode.SEQUENCE_MISORDERED,
    );
  });

  it("an observation from before a name change is sent back to look again, and the repeat runs", () => {
    const world = new World();
    const a = world.client("a");
    const stale = { exists: false, revision: world.index };
    world.opened(a, { disposition: D.CREATE });
    const spec = { disposition: D.CREATE, request };
    assertCode(world.open(a, { ...spec, observed: stale }), ErrorCode.NOT_READY);
    assertCode(world.open(a, spec), ErrorCode.OBJECT_NAME_COLLISION);
  });

  it("closing again gives the close result again", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a);
    const closeResult = Uint8Array.of(1, 2, 3);
    const close = () =>
      world.run({ closeHandle: { fence: world.fence(a), handleId: handle.id ?? null, closeResult } });
    assert.deepEqual(Buffer.from(close().close?.closeResult ?? []), Buffer.from(closeResult));
    const again = close();
    assert.equal(again.close?.repeated, true);
    assert.deepEqual(Buffer.from(again.close?.closeResult ?? []), Buffer.from(closeResult));
  });

  it("RW keeps others out while it is held", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2");
    world.file("file");
    world.opened(a, { leaseKey: "k", lease: RW });
    assert(isParked(world.open(b)));
  });
});

describe("a create whose answer was lost with its connection", () => {
  inEachSituation("is answered under its request id on the next one, with a handle in hand", (lose) => {
    const world = new World();
    const a = world.client("a");
    const spec = { guid: "g", disposition: D.CREATE, request: { slot: 0, sequence: 1 } };
    const handle = world.opened(a, spec);
    for (let round = 0; round < 3; round++) {
      lose(world, a);
      world.connect(a);
      const again = world.open(a, { ...spec, replay: true });
      assert.equal(again.repeated, true);
      assert.equal(again.open?.handle?.connected, true);
      assert.notEqual(again.open?.handle?.volatileId, handle.volatileId);
    }
    assert.equal(world.lock(a, handle, 0, 1).error, undefined);
    lose(world, a);
    world.connect(a);
    const used = world.open(a, { ...spec, replay: true });
    assert.equal(used.repeated, true);
    assert.equal(world.handle(handle).connected, false, "a used handle is resumed by its id");
  });
});
