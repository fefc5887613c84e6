import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import {
  ALL,
  assertCode,
  ATTRIBUTES,
  type Client,
  DELETE,
  isParked,
  R,
  READ,
  RH,
  RW,
  RWH,
  World,
  WRITE,
} from "../harness.js";
import { LEASE_BREAKS, LEASE_UPGRADES } from "../../torture/lease-expectations.js";

const { ErrorCode } = v1;
const H = 2;
const W = 4;

function two(): { world: World; a: Client; b: Client } {
  const world = new World();
  world.file("file");
  return { world, a: world.client("a"), b: world.client("b", "n2") };
}

function granted(world: World, client: Client, key: string): number {
  return world.lease(client, key)?.state ?? 0;
}

describe("smb2.lease", () => {
  it("request: R, RH, RW, RWH are granted; H, W and HW are none", () => {
    for (const [asked, result] of [
      [R, R],
      [RH, RH],
      [RW, RW],
      [RWH, RWH],
      [H, 0],
      [W, 0],
      [H | W, 0],
      [0, 0],
    ]) {
      const { world, a } = two();
      world.opened(a, { leaseKey: "k", lease: asked as number });
      assert.equal(granted(world, a, "k"), result);
    }
  });

  it("nobreakself: opens with the same key share one lease and never break it", () => {
    const { world, a } = two();
    world.opened(a, { leaseKey: "k", lease: RWH });
    world.opened(a, { leaseKey: "k", lease: R });
    assert.equal(granted(world, a, "k"), RWH);
    assert.equal(world.lease(a, "k")?.breaking, false);
  });

  it("statopen: an attribute-only open neither breaks nor reduces", () => {
    const { world, a, b } = two();
    world.opened(a, { leaseKey: "k", lease: RWH });
    assert(!isParked(world.open(b, { access: ATTRIBUTES })));
    assert.equal(granted(world, a, "k"), RWH);
    const other = two();
    other.world.opened(other.b, { access: ATTRIBUTES });
    other.world.opened(other.a, { leaseKey: "k", lease: RWH });
    assert.equal(granted(other.world, other.a, "k"), RWH);
  });

  it("statopen2-4: which rights make an open more than one for attributes", () => {
    const attributes = { readEa: 0x8, writeEa: 0x10, writeAttributes: 0x100, readControl: 0x20000 };
    for (const [name, access] of Object.entries({ ...attributes, synchronize: 0x100000, all: 0x120198 })) {
      const { world, a, b } = two();
      world.opened(a, { leaseKey: "k", lease: RWH, shareMode: {} });
      assert.equal(world.open(b, { access }).error, undefined, name);
      assert.equal(granted(world, a, "k"), RWH, name);
    }
    for (const access of [READ, WRITE, 0x4, 0x20, DELETE]) {
      const { world, a, b } = two();
      world.opened(a, { leaseKey: "k", lease: RWH });
      assert(isParked(world.open(b, { access })), `0x${access.toString(16)}`);
    }
  });

  it("upgrade, upgrade2: supersets only, never down", () => {
    const fresh = [R, RH, RW, RWH].map((asked) => [0, asked, asked] as const);
    for (const [held, asked, result] of [...fresh, ...LEASE_UPGRADES]) {
      const { world, a } = two();
      world.opened(a, { leaseKey: "k", lease: held });
      world.opened(a, { leaseKey: "k", lease: asked });
      assert.equal(granted(world, a, "k"), result, `${held} + ${asked}`);
    }
  });

  it("upgrade3: what others hold limits an upgrade", () => {
    const { world, a, b } = two();
    world.opened(a, { leaseKey: "ka", lease: R });
    world.opened(b, { leaseKey: "kb", lease: R });
    world.opened(a, { leaseKey: "ka", lease: RWH });
    assert.equal(granted(world, a, "ka"), RH);
  });

  it("break: contention of two leases", () => {
    for (const [held, asked, holderAfter, contender, waits] of LEASE_BREAKS) {
      const { world, a, b } = two();
      world.opened(a, { leaseKey: "ka", lease: held });
      const result = world.open(b, { leaseKey: "kb", lease: asked });
      assert.equal(isParked(result), waits, `${held} against ${asked}`);
      if (waits) world.ack(a, "ka", holderAfter);
      assert.equal(granted(world, a, "ka"), holderAfter);
      assert.equal(granted(world, b, "kb"), contender, `${held} against ${asked}`);
    }
  });

  it("multibreak: one break for many handles", () => {
    const { world, a, b } = two();
    for (let i = 0; i < 3; i++) world.opened(a, { leaseKey: "k", lease: RWH });
    world.open(b);
    assert.equal(world.eventsOf("lease-break").length, 1);
  });

  it("two-leases: trying a waiting open again sends no second break", () => {
    const { world, a, b } = two();
    const c = world.client("c", "n3");
    world.opened(a, { leaseKey: "k", lease: RWH });
    world.open(b);
    const result = world.open(c);
    assert(isParked(result));
    assert.equal(world.eventsOf("lease-break").length, 0);
  });

  it("breaking1: the same key passes during a break", () => {
    const { world, a, b } = two();
    world.opened(a, { leaseKey: "k", lease: RWH });
    assert(isParked(world.open(b)));
    const own = world.open(a, { leaseKey: "k", lease: RWH });
    assert.equal(own.open?.status, v1.OpenResult.Status.DONE);
    assert.equal(own.open?.lease?.breaking, true, "BREAK_IN_PROGRESS");
    assert.equal(own.open?.lease?.state, RWH);
  });

  it("breaking2: a bad acknowledgement is refused, a good one accepted", () => {
    const { world, a, b } = two();
    world.opened(a, { leaseKey: "k", lease: RWH });
    world.open(b);
    assertCode(world.ack(a, "k", RWH), ErrorCode.REQUEST_NOT_ACCEPTED);
    assertCode(world.ack(a, "k", RW), ErrorCode.REQUEST_NOT_ACCEPTED);
    assertCode(world.ack(a, "nokey", R), ErrorCode.OBJECT_NAME_NOT_FOUND);
    assert.equal(world.ack(a, "k", RH).error, undefined);
    assertCode(world.ack(a, "k", RH), ErrorCode.UNSUCCESSFUL);
  });

  it("breaking3, v2_breaking3: a lower target while breaking takes a second notification", () => {
    const { world, a, b } = two();
    const c = world.client("c", "n3");
    world.opened(a, { leaseKey: "k", lease: RWH });
    const epoch = world.lease(a, "k")?.epoch ?? 0;
    world.open(b);
    assert.equal(world.lease(a, "k")?.epoch, epoch + 1);
    assert(isParked(world.open(c, { disposition: v1.Disposition.OVERWRITE })));
    world.ack(a, "k", RH);
    const second = world.eventsOf("lease-break")[0]?.leaseBreak;
    assert.equal(second?.current, RH);
    assert.equal(second?.breakTo, 0);
    assert.equal(second?.epoch, epoch + 2);
    world.ack(a, "k", 0);
    assert.equal(granted(world, a, "k"), 0);
    assert.equal(world.lease(a, "k")?.breaking, false);
  });

  it("breaking4, breaking5: an overwrite breaks RH to none without waiting; R needs no acknowledgement", () => {
    const { world, a, b } = two();
    world.opened(a, { leaseKey: "k", lease: RH });
    assert(!isParked(world.open(b, { disposition: v1.Disposition.OVERWRITE })));
    assert.equal(world.lease(a, "k")?.breaking, true);
    assert.equal(world.ack(a, "k", 0).error, undefined);
    const other = two();
    other.world.opened(other.a, { leaseKey: "k", lease: R });
    const result = other.world.run(
      other.world.openCommand(other.b, { disposition: v1.Disposition.OVERWRITE }),
    );
    assert.equal(other.world.eventsOf("lease-break")[0]?.leaseBreak?.ackRequired, false);
    other.world.perform(result);
    assert.equal(granted(other.world, other.a, "k"), 0);
    assertCode(other.world.ack(other.a, "k", 0), ErrorCode.UNSUCCESSFUL);
  });

  it("breaking6: any subset may be acknowledged", () => {
    for (const state of [RH, R, 0]) {
      const { world, a, b } = two();
      world.opened(a, { leaseKey: "k", lease: RWH });
      world.open(b);
      assert.equal(world.ack(a, "k", state).error, undefined);
      assert.equal(granted(world, a, "k"), state);
      assert.equal(world.eventsOf("pending-done").length, 1);
    }
  });

  it("lock1-3: a byte-range lock breaks the leases of others", () => {
    const { world, a, b } = two();
    const c = world.client("c", "n3");
    const own = world.opened(a, { leaseKey: "ka", lease: RH });
    world.opened(b, { leaseKey: "kb", lease: RH });
    const result = world.lock(a, own, 0, 1);
    assert.equal(world.lease(b, "kb")?.breakToRequired, 0);
    assert.equal(granted(world, a, "ka"), RH, "the own lease stays");
    assert.equal(result.lock?.parked, true, "the other node has to enforce it first");
    world.opened(c, { leaseKey: "kc", lease: RH });
  });

  it("sharing_violation: RWH gives up H and keeps W; the opener gets SHARING_VIOLATION if the handle stays", () => {
    const { world, a, b } = two();
    const handle = world.opened(a, { leaseKey: "k", lease: RWH, shareMode: { read: true } });
    assert(isParked(world.open(b, { access: WRITE })));
    assert.equal(world.lease(a, "k")?.breakToRequired, RW);
    world.ack(a, "k", RW);
    assertCode(world.eventsOf("pending-done")[0]?.pendingDone?.result ?? {}, ErrorCode.SHARING_VIOLATION);
    assertCode(world.open(b, { access: WRITE }), ErrorCode.SHARING_VIOLATION);
    world.close(a, handle);
    assert.equal(world.open(b, { access: WRITE }).error, undefined);
  });

  it("sharing_violation: closing instead of acknowledging lets the opener in", () => {
    const { world, a, b } = two();
    const handle = world.opened(a, { leaseKey: "k", lease: RWH, shareMode: { read: true } });
    assert(isParked(world.open(b, { access: WRITE })));
    world.close(a, handle);
    assert.equal(world.eventsOf("pending-done")[0]?.pendingDone?.result?.error ?? undefined, undefined);
    assert.equal(world.lease(a, "k"), undefined);
  });

  it("v2_epoch1-3, lease-epoch: the epoch counts every change and nothing else", () => {
    const { world, a, b } = two();
    world.opened(a, { leaseKey: "ka", lease: R, leaseEpoch: 0x11 });
    assert.equal(world.lease(a, "ka")?.epoch, 0x12);
    world.opened(a, { leaseKey: "ka", lease: R });
    assert.equal(world.lease(a, "ka")?.epoch, 0x12, "nothing changed");
    world.opened(a, { leaseKey: "ka", lease: RWH });
    assert.equal(world.lease(a, "ka")?.epoch, 0x13);
    world.open(b);
    assert.equal(world.lease(a, "ka")?.epoch, 0x14);
    world.opened(b, { path: "other", leaseKey: "kb", lease: 0, leaseEpoch: 7 });
    assert.equal(world.lease(b, "kb")?.epoch, 7, "nothing was granted");
  });

  it("v2_epoch wraps at 16 bits", () => {
    const { world, a } = two();
    world.opened(a, { leaseKey: "k", lease: R, leaseEpoch: 0xffff });
    assert.equal(world.lease(a, "k")?.epoch, 0);
  });

  it("timeout: without an acknowledgement the lease ends and a late one fails", () => {
    const { world, a, b } = two();
    world.opened(a, { kind: v1.HandleKind.DURABLE, leaseKey: "k", lease: RWH });
    world.open(b);
    world.pass(34_999);
    assert.equal(world.lease(a, "k")?.breaking, true);
    world.pass(1);
    assert.equal(granted(world, a, "k"), 0);
    assertCode(world.ack(a, "k", RH), ErrorCode.UNSUCCESSFUL);
    assert.equal([...world.machine.pending()].length, 0);
  });

  it("timeout-disconnect: a persistent holder that went away keeps its lease, the break is stored", () => {
    const { world, a, b } = two();
    const handle = world.opened(a, { guid: "g", timeoutMs: 300_000, leaseKey: "k", lease: RWH });
    world.open(b);
    world.disconnect(a);
    world.pass(60_000);
    assert.equal(granted(world, a, "k"), RWH);
    assert.equal(world.lease(a, "k")?.stored, true);
    world.connect(a);
    world.reconnect(a, handle);
    assert.equal(world.eventsOf("lease-break")[0]?.leaseBreak?.breakTo, RH);
  });

  it("duplicate_create, duplicate_open: one key is for one file", () => {
    const { world, a } = two();
    world.opened(a, { leaseKey: "k", lease: RWH });
    world.file("second");
    assertCode(world.open(a, { path: "second", leaseKey: "k", lease: R }), ErrorCode.INVALID_PARAMETER);
    assertCode(world.open(a, { path: "new", leaseKey: "k", lease: R }), ErrorCode.INVALID_PARAMETER);
    const other = world.client("c", "n3");
    assert.equal(
      world.open(other, { path: "second", leaseKey: "k", lease: R }).error,
      undefined,
      "of another client",
    );
  });

  it("unlink: a delete disposition takes H away from others first", () => {
    const { world, a, b } = two();
    world.opened(a, { leaseKey: "ka", lease: RH });
    const handle = world.opened(b, { access: ALL });
    const marked = world.run({
      setDisposition: { fence: world.fence(b), handleId: handle.id ?? null, delete: true },
    });
    assert(isParked(marked));
    assert.equal(world.lease(a, "ka")?.breakToRequired, R);
    world.ack(a, "ka", R);
    assert.equal(world.handle(handle).deleteOnCloseSet, true);
    assertCode(world.open(a), ErrorCode.DELETE_PENDING);
  });

  it("v2_rename, rename_wait: a rename waits for H; path of the lease and of the handles follow", () => {
    const { world, a, b } = two();
    const mine = world.opened(a, { leaseKey: "ka", lease: RH });
    const handle = world.opened(b, { access: ALL });
    const rename = world.run({
      beginEffect: {
        fence: world.fence(b),
        effect: { kind: v1.EffectKind.EFFECT_RENAME, handleId: handle.id ?? null, targetPath: "moved" },
      },
    });
    assert(isParked(rename));
    world.ack(a, "ka", R);
    const pending = world.eventsOf("pending-done")[0]?.pendingDone?.result ?? {};
    world.perform(pending);
    assert.equal(world.handle(mine).path, "moved");
    assert.equal(world.handle(handle).path, "moved");
    assert.equal(world.lease(a, "ka")?.path, "moved");
    assert.equal([...world.machine.handlesOfFile("ca", "moved")].length, 2);
  });

  it("v2_rename_target_overwrite: an open target stops the rename after its H was broken", () => {
    const { world, a, b } = two();
    world.file("target");
    world.opened(a, { path: "target", leaseKey: "ka", lease: RWH });
    const handle = world.opened(b, { access: ALL });
    const rename = world.run({
      beginEffect: {
        fence: world.fence(b),
        effect: {
          kind: v1.EffectKind.EFFECT_RENAME,
          handleId: handle.id ?? null,
          targetPath: "target",
          targetFileId: "x",
          replace: true,
        },
      },
    });
    assert(isParked(rename));
    world.ack(a, "ka", RW);
    assertCode(world.eventsOf("pending-done")[0]?.pendingDone?.result ?? {}, ErrorCode.ACCESS_DENIED);
  });

  it("rename_dir_openfile: open files below stop the rename of a directory", () => {
    const { world, a, b } = two();
    world.file("dir", true);
    world.file("dir/file");
    const below = world.opened(a, { path: "dir/file", leaseKey: "ka", lease: RH });
    const dir = world.opened(b, { path: "dir", directory: true, access: DELETE | READ });
    const rename = {
      beginEffect: {
        fence: world.fence(b),
        effect: { kind: v1.EffectKind.EFFECT_RENAME, handleId: dir.id ?? null, targetPath: "moved" },
      },
    };
    assert(isParked(world.run(rename)), "H of the file below is broken first");
    world.ack(a, "ka", R);
    assertCode(world.eventsOf("pending-done")[0]?.pendingDone?.result ?? {}, ErrorCode.ACCESS_DENIED);
    world.close(a, below);
    assert.equal(world.perform(world.run(rename)).error, undefined);
    assert(world.files.has("ca:moved/file"));
  });

  for (const how of ["close-session", "disconnect"]) {
    it(`initial_delete_${how === "disconnect" ? "disconnect" : "logoff"}: delete-on-close of a plain handle fires`, () => {
      const { world, a } = two();
      world.opened(a, { kind: v1.HandleKind.PLAIN, access: ALL, deleteOnClose: true });
      if (how === "disconnect") world.disconnect(a);
      else world.ok({ closeSession: { fence: world.fence(a) } });
      const needed = world.eventsOf("effect-needed")[0];
      assert.equal(needed?.node, "n1");
      world.finish(needed?.effect ?? {});
      assert(!world.files.has("ca:file"));
    });
  }
});
