import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import {
  ALL,
  assertCode,
  ATTRIBUTES,
  type Client,
  DELETE,
  guid,
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

const { ErrorCode } = v1;
const DURABLE = { share: "plain", kind: v1.HandleKind.DURABLE, guid: "g", leaseKey: "k" };

function durable(lease = RWH): { world: World; a: Client; b: Client; handle: v1.IHandleRecord } {
  const world = new World();
  world.file("file", false, "plain");
  const a = world.client("a");
  const b = world.client("b", "n2");
  return { world, a, b, handle: world.opened(a, { ...DURABLE, lease }) };
}

function back(world: World, client: Client): void {
  world.disconnect(client);
  world.connect(client);
}

describe("smb2.durable-v2-open", () => {
  it("open-lease: durable needs a lease with H, and a file", () => {
    for (const [lease, kind] of [
      [0, "PLAIN"],
      [R, "PLAIN"],
      [RW, "PLAIN"],
      [RH, "DURABLE"],
      [RWH, "DURABLE"],
    ] as const) {
      const { handle } = durable(lease);
      assert.equal(v1.HandleKind[handle.kind ?? 0], kind, String(lease));
    }
  });

  it("open-lease: the timeout is granted as asked, up to 300 s", () => {
    const world = new World();
    const a = world.client("a");
    assert.equal(world.opened(a, { timeoutMs: 7 }).timeoutMs, 7);
    assert.equal(world.opened(a, { timeoutMs: 0xffffffff }).timeoutMs, 300_000);
    assert.equal(world.opened(a).timeoutMs, 60_000);
  });

  it("persistent-open-lease: persistence only on a continuously available share", () => {
    const world = new World();
    const a = world.client("a");
    assert.equal(world.opened(a, { share: "ca", path: "x" }).kind, v1.HandleKind.PERSISTENT);
    assert.equal(world.opened(a, { share: "plain", path: "x" }).kind, v1.HandleKind.PLAIN);
  });

  it("reopen1: a handle that is still connected cannot be resumed", () => {
    const { world, a, handle } = durable();
    assertCode(world.reconnect(a, handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
  });

  it("reopen1a: a session that names the previous one ends it, then the handle is resumed", () => {
    const { world, a, handle } = durable();
    const next = world.client("a", "n1", { clientGuid: a.guid, previousSessionId: a.sessionId });
    assertCode(world.open(a, { path: "x" }), ErrorCode.USER_SESSION_DELETED);
    assert.equal(world.reconnect(next, handle).error, undefined);
  });

  it("reopen1a-lease: another client guid cannot resume a leased handle", () => {
    const { world, a, b, handle } = durable();
    world.disconnect(a);
    assertCode(world.reconnect(b, handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
    world.connect(a);
    assert.equal(world.reconnect(a, handle).error, undefined);
  });

  it("reopen2: a missing, zero or wrong guid and a wrong id are not found; the right one resumes", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    back(world, a);
    for (const wrong of [null, new Uint8Array(16), guid("other")])
      assertCode(world.reconnect(a, handle, { createGuid: wrong }), ErrorCode.OBJECT_NAME_NOT_FOUND);
    assertCode(
      world.reconnect(a, handle, { handleId: guid("other"), createGuid: guid("other") }),
      ErrorCode.OBJECT_NAME_NOT_FOUND,
    );
    assertCode(world.reconnect(a, handle, { persistent: false }), ErrorCode.OBJECT_NAME_NOT_FOUND);
    assertCode(world.reconnect(a, handle, { otherContexts: true }), ErrorCode.INVALID_PARAMETER);
    const resumed = world.reconnect(a, handle);
    assert.equal(resumed.error, undefined);
    assert.deepEqual(resumed.open?.handle?.id, handle.id);
    assertCode(world.reconnect(a, handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
  });

  it("reopen2: a persistent handle whose id was never learned is found by its guid", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    back(world, a);
    const resumed = world.reconnect(a, handle, { handleId: guid("unknown") });
    assert.deepEqual(resumed.open?.handle?.id, handle.id);
  });

  it("reopen2-lease, reopen2-lease-v2: the lease must be there, with its key, version and name", () => {
    const { world, a, handle } = durable();
    back(world, a);
    assertCode(world.reconnect(a, handle, { lease: null }), ErrorCode.OBJECT_NAME_NOT_FOUND);
    assertCode(
      world.reconnect(a, handle, { lease: { key: guid("x"), version: 2 } }),
      ErrorCode.OBJECT_NAME_NOT_FOUND,
    );
    assertCode(
      world.reconnect(a, handle, { lease: { key: guid("k"), version: 1 } }),
      ErrorCode.OBJECT_NAME_NOT_FOUND,
    );
    assertCode(world.reconnect(a, handle, { path: "elsewhere" }), ErrorCode.INVALID_PARAMETER);
    assertCode(world.reconnect(a, handle, { persistent: true }), ErrorCode.INVALID_PARAMETER);
    assert.equal(world.reconnect(a, handle, { path: "file" }).error, undefined);
  });

  it("reopen5: a resume that fails does not spoil the handle", () => {
    const { world, a, b, handle } = durable();
    world.disconnect(a);
    for (let i = 0; i < 3; i++) assertCode(world.reconnect(b, handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
    world.connect(a);
    assert.equal(world.reconnect(a, handle).error, undefined);
  });

  it("reopen6: another principal is refused, with every id in hand", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    world.disconnect(a);
    const thief = world.client("a", "n2", {
      clientGuid: a.guid,
      principal: "mallory",
      resumeToken: guid("t"),
    });
    assertCode(world.reconnect(thief, handle), ErrorCode.ACCESS_DENIED);
    assertCode(world.open(thief, { guid: "g", replay: true }), ErrorCode.ACCESS_DENIED);
    const stolen = { ...a, principal: "mallory" };
    assertCode(world.run(world.connectCommand(stolen)), ErrorCode.ACCESS_DENIED);
    assertCode(world.run(world.connectCommand({ ...a, token: guid("guess") })), ErrorCode.ACCESS_DENIED);
  });

  it("lock-lease: with RWH the lock survives; lock-noW-lease: with RH the handle does not", () => {
    const kept = durable(RWH);
    kept.world.lock(kept.a, kept.handle, 0, 1);
    back(kept.world, kept.a);
    assert.equal(kept.world.reconnect(kept.a, kept.handle).open?.handle?.locks?.length, 1);
    const lost = durable(RH);
    lost.world.lock(lost.a, lost.handle, 0, 1);
    back(lost.world, lost.a);
    assertCode(lost.world.reconnect(lost.a, lost.handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
  });

  it("two-same-lease, two-different-lease: both are resumed", () => {
    for (const key of ["k", "k2"]) {
      const { world, a, handle } = durable(RH);
      const second = world.opened(a, { ...DURABLE, guid: "g2", leaseKey: key, lease: RH });
      back(world, a);
      assert.equal(world.reconnect(a, handle).error, undefined);
      assert.equal(world.reconnect(a, second).error, undefined);
    }
  });

  const others: [name: string, lease: number, spec: object, kept: boolean][] = [
    ["keep-disconnected-rh-with-stat-open", RH, { access: ATTRIBUTES }, true],
    ["keep-disconnected-rh-with-rh-open", RH, { leaseKey: "kb", lease: RH }, true],
    ["keep-disconnected-rh-with-rwh-open", RH, { leaseKey: "kb", lease: RWH }, true],
    ["keep-disconnected-rwh-with-stat-open", RWH, { access: ATTRIBUTES }, true],
    ["purge-disconnected-rwh-with-rwh-open", RWH, { leaseKey: "kb", lease: RWH }, false],
    ["purge-disconnected-rwh-with-rh-open", RWH, { leaseKey: "kb", lease: RH }, false],
    ["purge-disconnected-rh-with-share-none-open", RH, { shareMode: SHARE_NONE }, false],
  ];
  for (const [name, lease, spec, kept] of others) {
    it(name, () => {
      const { world, a, b, handle } = durable(lease);
      world.disconnect(a);
      assert.equal(world.open(b, { share: "plain", access: READ | WRITE, ...spec }).error, undefined);
      world.connect(a);
      const resumed = world.reconnect(a, handle);
      if (kept) assert.equal(resumed.error, undefined);
      else assertCode(resumed, ErrorCode.OBJECT_NAME_NOT_FOUND);
    });
  }

  it("purge-disconnected-rh-with-write", () => {
    const { world, a, b, handle } = durable(RH);
    world.disconnect(a);
    const other = world.opened(b, { share: "plain" });
    world.ok({ breakLeases: { fence: world.fence(b), handleId: other.id ?? null, operation: "write" } });
    world.connect(a);
    assertCode(world.reconnect(a, handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
  });

  it("purge-disconnected-rh-with-rename", () => {
    const { world, a, b, handle } = durable(RH);
    world.disconnect(a);
    const other = world.opened(b, { share: "plain", access: ALL });
    const effect = { kind: v1.EffectKind.EFFECT_RENAME, handleId: other.id ?? null, targetPath: "new" };
    assert.equal(
      world.perform(world.run({ beginEffect: { fence: world.fence(b), effect } })).error,
      undefined,
    );
    world.connect(a);
    assertCode(world.reconnect(a, handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
  });

  it("app-instance: the second client takes over, the first handle is closed", () => {
    const instance = { id: guid("app") };
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2");
    const handle = world.opened(a, { guid: "g", shareMode: SHARE_NONE, appInstance: instance });
    assert.equal(
      world.open(b, { guid: "g2", shareMode: SHARE_NONE, appInstance: instance }).error,
      undefined,
    );
    assertCode(world.lock(a, handle, 0, 1), ErrorCode.FILE_CLOSED);
    assertCode(world.close(a, handle), ErrorCode.FILE_CLOSED);
  });

  it("reconnect-twice: the timer of the first disconnect does not kill the handle after the second", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g", timeoutMs: 10_000 });
    world.disconnect(a);
    world.nowMs += 9_000;
    world.connect(a);
    world.reconnect(a, handle);
    world.disconnect(a);
    world.pass(5_000);
    world.connect(a);
    assert.equal(world.reconnect(a, handle).error, undefined);
  });

  it("an expiry that was overtaken by a resume changes nothing", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g", timeoutMs: 5_000 });
    world.disconnect(a);
    world.nowMs += 5_000;
    const due = world.machine.due(world.nowMs, 10);
    assert.equal(due.length, 1);
    world.connect(a);
    world.reconnect(a, handle);
    for (const command of due) assertCode(world.run(command), ErrorCode.NO_CHANGE);
    assert.equal(world.handle(handle).state, v1.HandleState.HANDLE_OPEN);
  });
});

describe("WPTS AppInstanceVersion", () => {
  const cases: [name: string, high: number, low: number, has: boolean, ok: boolean][] = [
    ["greater high", 2, 0, true, true],
    ["greater low", 1, 6, true, true],
    ["same", 1, 5, true, false],
    ["lower high", 0, 9, true, false],
    ["lower low", 1, 4, true, false],
    ["no version", 0, 0, false, false],
  ];
  for (const [name, versionHigh, versionLow, hasVersion, ok] of cases) {
    it(`${name}: ${ok ? "takes over" : "FILE_FORCED_CLOSED"}, also from another node after its failover`, () => {
      const world = new World();
      const a = world.client("a");
      const b = world.client("b", "n2");
      const id = guid("app");
      const handle = world.opened(a, {
        guid: "g",
        appInstance: { id, versionHigh: 1, versionLow: 5, hasVersion: true },
      });
      world.kill("n1");
      world.restart();
      const result = world.open(b, { guid: "h", appInstance: { id, versionHigh, versionLow, hasVersion } });
      if (!ok) {
        assertCode(result, ErrorCode.FILE_FORCED_CLOSED);
        return;
      }
      assert.equal(result.error, undefined);
      world.connect(a);
      assertCode(world.reconnect(a, handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
    });
  }

  it("another instance id does not take over", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2");
    world.opened(a, { shareMode: SHARE_NONE, appInstance: { id: guid("one") } });
    assertCode(world.open(b, { appInstance: { id: guid("two") } }), ErrorCode.SHARING_VIOLATION);
  });
});

describe("handle kinds", () => {
  it("resilient: survives the client, not the server; others get the rules or FILE_NOT_AVAILABLE", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2");
    const handle = world.opened(a, { kind: v1.HandleKind.RESILIENT, guid: "g" });
    world.disconnect(a);
    assertCode(world.open(b), ErrorCode.FILE_NOT_AVAILABLE);
    world.connect(a);
    assert.equal(world.reconnect(a, handle).error, undefined);
    world.kill("n1");
    assertCode(
      world.run({ closeHandle: { fence: world.fence(a), handleId: handle.id ?? null } }),
      ErrorCode.FILE_CLOSED,
    );
    assert.equal(world.open(b).error, undefined);
  });

  it("plain: gone with the connection, and with the server without deleting", () => {
    const world = new World();
    const a = world.client("a");
    world.file("file");
    world.opened(a, { kind: v1.HandleKind.PLAIN, access: ALL, deleteOnClose: true });
    world.kill("n1");
    assert.equal([...world.machine.effects()].length, 0);
    assert(world.files.has("ca:file"));
    assert.equal(world.machine.counts().handles, 0);
  });

  // Found by the simulator, cluster seed 200.
  it("release valve: an open that waits while its node dies does not give up what its client had in hand", () => {
    const world = new World();
    const a = world.client("a");
    world.file("file");
    const marked = { access: DELETE, deleteOnClose: true, guid: "g", leaseKey: "k", lease: RWH };
    const handle = world.opened(a, marked);
    assert(isParked(world.open(a, { orphans: true })), "it waits for the lease of the first");
    world.register("n1", 2);
    assert.deepEqual([...world.machine.effects()], []);
    world.connect(a);
    assert.equal(world.reconnect(a, handle).error, undefined);
  });

  it("release valve: an open waits until the file is gone that its client's orphan takes along", () => {
    const world = new World();
    const a = world.client("a");
    world.file("file");
    world.opened(a, { access: DELETE | READ, deleteOnClose: true, guid: "g" });
    world.register("n1", 2);
    world.connect(a);
    const again = world.run(world.openCommand(a, { orphans: true, guid: "again" }));
    assert(isParked(again), "opened, while its file is being deleted");
    const [effect] = [...world.machine.effects()];
    assert.equal(effect?.kind, v1.EffectKind.EFFECT_DELETE);
    world.finish(effect);
    const done = world.events.find((event) => event.pendingDone)?.pendingDone?.result ?? {};
    assertCode(done, ErrorCode.NOT_READY);
    const fresh = world.opened(a, { guid: "once more" });
    assert.equal(fresh.createAction, v1.CreateAction.CREATED);
  });

  it("release valve: a client that opens again is not held off by its own orphans", () => {
    const world = new World();
    const a = world.client("a");
    const old = world.opened(a, { guid: "g" });
    world.disconnect(a);
    world.connect(a);
    assertCode(world.open(a, { guid: "new" }), ErrorCode.FILE_NOT_AVAILABLE);
    assert.equal(world.open(a, { guid: "new", orphans: true }).error, undefined);
    assertCode(world.reconnect(a, old), ErrorCode.OBJECT_NAME_NOT_FOUND);
  });
});
