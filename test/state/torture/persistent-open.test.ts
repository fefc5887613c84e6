import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import {
  ALL,
  assertCode,
  ATTRIBUTES,
  DELETE,
  effectOf,
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
import { inEachSituation } from "../situations.js";

const { ErrorCode } = v1;
const LEVELS = [0, R, RH, RW, RWH];

describe("smb2.persistent-open", () => {
  for (const share of ["ca", "so"]) {
    inEachSituation(`leaselevels_${share === "ca" ? "fo" : "so"}`, (lose) => {
      for (const level of LEVELS) {
        const world = new World();
        const a = world.client("a");
        world.file("file", false, share);
        const handle = world.opened(a, { share, guid: "g", leaseKey: "k", lease: level });
        assert.equal(handle.kind, v1.HandleKind.PERSISTENT);
        const granted = share === "so" ? level & R : level;
        assert.equal(world.lease(a, "k")?.state, granted);
        lose(world, a);
        world.connect(a);
        const resumed = world.reconnect(a, handle);
        assert.equal(resumed.error, undefined);
        assert.equal(resumed.open?.lease?.state, granted, "the failover itself breaks nothing");
      }
    });
  }

  inEachSituation("timeout_5", (lose) => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n3");
    const handle = world.opened(a, { guid: "g", timeoutMs: 5_000 });
    assert.equal(handle.timeoutMs, 5_000);
    lose(world, a);
    if (!world.session(b).connected) world.connect(b);
    assertCode(world.open(b), ErrorCode.FILE_NOT_AVAILABLE);
    world.pass(4_999);
    assertCode(world.open(b), ErrorCode.FILE_NOT_AVAILABLE);
    world.pass(1);
    assert.equal(world.open(b).error, undefined);
    world.connect(a);
    assertCode(world.reconnect(a, handle), ErrorCode.OBJECT_NAME_NOT_FOUND);
  });

  inEachSituation("rename-dir-open-files", (lose) => {
    for (const level of LEVELS) {
      const world = new World();
      const a = world.client("a");
      const b = world.client("b", "n3");
      world.file("dir", true);
      world.file("dir/sub/file");
      const handle = world.opened(a, { path: "dir/sub/file", guid: "g", leaseKey: "k", lease: level });
      lose(world, a);
      if (!world.session(b).connected) world.connect(b);
      const dir = world.opened(b, { path: "dir", access: DELETE | READ, directory: true });
      const rename = world.run({
        beginEffect: {
          fence: world.fence(b),
          effect: { kind: v1.EffectKind.EFFECT_RENAME, handleId: dir.id ?? null, targetPath: "other" },
        },
      });
      assertCode(rename, ErrorCode.ACCESS_DENIED);
      world.connect(a);
      const again = world.reconnect(a, handle);
      assert.equal(again.error, undefined);
      assert.equal(again.open?.reconnected, true, "told apart from a replay, which says the create's action");
    }
  });

  inEachSituation("replay-reconnect", (lose) => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g", disposition: v1.Disposition.CREATE });
    lose(world, a);
    world.connect(a);
    const again = world.open(a, { guid: "g", disposition: v1.Disposition.CREATE, replay: true });
    assert.equal(again.error, undefined);
    assert.equal(again.open?.replayed, true);
    assert.equal(again.open?.reconnected ?? false, false);
    assert.deepEqual(again.open?.handle?.id, handle.id);
    assert.equal(again.open?.handle?.createAction, v1.CreateAction.CREATED);
    assert.notEqual(again.open?.handle?.volatileId, handle.volatileId);
    assert.equal(world.lock(a, handle, 0, 1).error, undefined, "the handle is usable");
  });

  inEachSituation("replay-multi", (lose) => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    for (let round = 0; round < 3; round++) {
      lose(world, a);
      world.connect(a);
      for (let i = 0; i < 3; i++)
        assert.equal(world.open(a, { guid: "g", replay: true }).open?.replayed, true);
    }
    world.ok({ useHandle: { fence: world.fence(a), handleId: handle.id ?? null } });
    assertCode(world.open(a, { guid: "g", replay: true }), ErrorCode.FILE_NOT_AVAILABLE);
  });

  inEachSituation("directory-leaselevels", (lose) => {
    for (const level of [0, R, RH, RWH]) {
      const world = new World();
      const a = world.client("a");
      world.file("dir", true);
      const handle = world.opened(a, {
        path: "dir",
        directory: true,
        access: READ,
        guid: "g",
        leaseKey: "k",
        lease: level,
      });
      assert.equal(world.lease(a, "k")?.state, level === RWH ? RH : level);
      assert.equal(handle.kind, v1.HandleKind.PERSISTENT);
      lose(world, a);
      world.connect(a);
      assert.equal(world.reconnect(a, handle).error, undefined);
    }
  });

  inEachSituation("directory-disconnect", (lose) => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n3");
    world.file("dir", true);
    world.opened(a, { path: "dir", directory: true, access: READ, shareMode: SHARE_NONE, guid: "g" });
    const spec = { path: "dir", directory: true, access: READ };
    assertCode(world.open(b, spec), ErrorCode.SHARING_VIOLATION);
    lose(world, a);
    if (!world.session(b).connected) world.connect(b);
    assertCode(world.open(b, spec), ErrorCode.FILE_NOT_AVAILABLE);
  });

  for (const mark of ["create option", "set-info"]) {
    inEachSituation(`deleteonclose-reconnect, ${mark}`, (lose) => {
      const world = new World();
      const a = world.client("a");
      world.file("file");
      const handle = world.opened(a, { guid: "g", access: ALL, deleteOnClose: mark === "create option" });
      if (mark === "set-info")
        world.ok({ setDisposition: { fence: world.fence(a), handleId: handle.id ?? null, delete: true } });
      lose(world, a);
      assert(world.files.has("ca:file"));
      assert.equal([...world.machine.effects()].length, 0, "nothing is deleted because a server died");
      world.connect(a);
      assert.equal(world.reconnect(a, handle).error, undefined);
      assert.equal(world.close(a, handle).error, undefined);
      assert(!world.files.has("ca:file"));
    });
  }

  inEachSituation("deleteonclose-expire", (lose) => {
    const world = new World();
    const a = world.client("a");
    world.file("file");
    world.opened(a, { guid: "g", access: ALL, deleteOnClose: true });
    lose(world, a);
    world.pass(60_000);
    const effects = [...world.machine.effects()];
    assert.equal(effects.length, 1);
    assert.equal(effects[0]?.kind, v1.EffectKind.EFFECT_DELETE);
    assert.equal(world.machine.node(effects[0]?.owner ?? "")?.status, v1.NodeStatus.NODE_UP);
    world.finish(effects[0] ?? {});
    assert(!world.files.has("ca:file"));
  });

  inEachSituation("deleteonclose-twice", (lose) => {
    const world = new World();
    const a = world.client("a");
    world.file("file");
    world.opened(a, {
      guid: "g1",
      access: ALL,
      deleteOnClose: true,
      timeoutMs: 1_000,
      leaseKey: "k",
      lease: RH,
    });
    const longer = world.opened(a, {
      guid: "g2",
      access: ALL,
      deleteOnClose: true,
      timeoutMs: 50_000,
      leaseKey: "k",
      lease: RH,
    });
    lose(world, a);
    world.pass(1_000);
    assert.equal([...world.machine.effects()].length, 0, "somebody still has it open");
    world.connect(a);
    assert.equal(world.reconnect(a, longer).error, undefined);
    world.close(a, longer);
    assert(!world.files.has("ca:file"));
  });
});

describe("smb2.persistent-open-reconnect-contended", () => {
  interface Cell {
    readonly held: number;
    readonly locks: boolean;
    readonly contender: "attribute" | "compatible" | "overwrite" | "conflict";
    /** What the contender gets at once. */
    readonly status: "granted" | "FNA" | "parked";
    /** What the holder's lease is to come down to, if a break is stored. */
    readonly stored?: number;
    /** Lease of the contender that asked for RWH, once it is in. */
    readonly lease?: number;
    /** After the holder is back and has acknowledged. */
    readonly after?: "granted" | "SHARING_VIOLATION";
  }
  const CELLS: readonly Cell[] = [
    ...[0, R, RW].flatMap((held) =>
      [false, true].flatMap((locks): Cell[] => [
        { held, locks, contender: "attribute", status: "granted" },
        { held, locks, contender: "compatible", status: "FNA" },
        { held, locks, contender: "overwrite", status: "FNA" },
        { held, locks, contender: "conflict", status: "FNA" },
      ]),
    ),
    { held: RH, locks: false, contender: "attribute", status: "granted" },
    { held: RH, locks: false, contender: "compatible", status: "granted", lease: RH },
    { held: RH, locks: false, contender: "overwrite", status: "granted", stored: 0, lease: RH },
    {
      held: RH,
      locks: false,
      contender: "conflict",
      status: "parked",
      stored: R,
      after: "SHARING_VIOLATION",
    },
    { held: RH, locks: true, contender: "attribute", status: "granted" },
    { held: RH, locks: true, contender: "compatible", status: "FNA" },
    { held: RH, locks: true, contender: "overwrite", status: "FNA" },
    { held: RH, locks: true, contender: "conflict", status: "FNA" },
    { held: RWH, locks: false, contender: "attribute", status: "granted" },
    {
      held: RWH,
      locks: false,
      contender: "compatible",
      status: "parked",
      stored: RH,
      after: "granted",
      lease: RH,
    },
    {
      held: RWH,
      locks: false,
      contender: "overwrite",
      status: "parked",
      stored: 0,
      after: "granted",
      lease: RH,
    },
    {
      held: RWH,
      locks: false,
      contender: "conflict",
      status: "parked",
      stored: RW,
      after: "SHARING_VIOLATION",
    },
    { held: RWH, locks: true, contender: "attribute", status: "granted" },
    {
      held: RWH,
      locks: true,
      contender: "compatible",
      status: "parked",
      stored: RH,
      after: "granted",
      lease: 0,
    },
    {
      held: RWH,
      locks: true,
      contender: "conflict",
      status: "parked",
      stored: RW,
      after: "SHARING_VIOLATION",
    },
  ];

  inEachSituation(`reconnect-contended, ${CELLS.length} cells`, (lose) => {
    for (const cell of CELLS) runCell(cell, lose);
  });

  function runCell(cell: Cell, lose: (world: World, client: ReturnType<World["client"]>) => void): void {
    const label = JSON.stringify(cell);
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n3");
    world.file("file");
    const denies = cell.contender === "conflict";
    const holder = world.opened(a, {
      guid: "g",
      leaseKey: "ka",
      lease: cell.held,
      access: READ | WRITE,
      ...(denies ? { shareMode: { read: true } } : {}),
    });
    if (cell.locks) world.lock(a, holder, 0, 10);
    assert.equal(world.lease(a, "ka")?.state, cell.held, label);
    lose(world, a);
    if (!world.session(b).connected) world.connect(b);
    const result = world.open(b, {
      guid: "gb",
      access: cell.contender === "attribute" ? ATTRIBUTES : READ | WRITE,
      disposition: cell.contender === "overwrite" ? v1.Disposition.OVERWRITE_IF : v1.Disposition.OPEN,
      ...(cell.contender === "attribute" ? {} : { leaseKey: "kb", lease: RWH }),
    });
    if (cell.status === "FNA") assertCode(result, ErrorCode.FILE_NOT_AVAILABLE);
    else assert.equal(isParked(result), cell.status === "parked", `${label}: ${JSON.stringify(result)}`);
    const broken = world.lease(a, "ka");
    assert.equal(broken?.breaking ?? false, cell.stored !== undefined, label);
    assert.equal(broken?.state, cell.held, "the holder keeps what it has until it is back");
    if (cell.stored !== undefined) assert.equal(broken?.breakToRequired, cell.stored, label);
    if (cell.status === "granted" && cell.lease !== undefined)
      assert.equal(world.lease(b, "kb")?.state, cell.lease, label);

    world.connect(a);
    const resumed = world.reconnect(a, holder);
    assert.equal(resumed.error, undefined, label);
    const told = world.eventsOf("lease-break");
    assert.equal(told.length, cell.stored === undefined ? 0 : 1, "a stored break goes out at resume");
    if (cell.stored === undefined) return;
    assert.equal(told[0]?.leaseBreak?.breakTo, cell.stored);
    assert.equal(world.ack(a, "ka", cell.stored).error, undefined, label);
    if (cell.after === undefined) return;
    const done = world.eventsOf("pending-done")[0]?.pendingDone?.result;
    assert(done, `${label}: no answer`);
    if (cell.after === "SHARING_VIOLATION") assertCode(done, ErrorCode.SHARING_VIOLATION);
    else {
      const final = world.perform(done);
      assert.equal(final.open?.status, v1.OpenResult.Status.DONE, label);
      assert.equal(world.lease(b, "kb")?.state, cell.lease, label);
    }
  }

  it("scale-out: every contention is FILE_NOT_AVAILABLE", () => {
    for (const lease of LEVELS) {
      const world = new World();
      const a = world.client("a");
      const b = world.client("b", "n3");
      world.opened(a, { share: "so", guid: "g", leaseKey: "k", lease });
      world.disconnect(a);
      assertCode(world.open(b, { share: "so" }), ErrorCode.FILE_NOT_AVAILABLE);
    }
  });

  it("reconnect-contended-two: the outcome is the worst of the two holders", () => {
    const world = new World();
    const [a, b, c] = [world.client("a"), world.client("b"), world.client("c", "n3")] as const;
    world.file("file");
    world.opened(a, { guid: "ga", leaseKey: "ka", lease: RH });
    world.opened(b, { guid: "gb", leaseKey: "kb", lease: R });
    world.disconnect(a);
    world.disconnect(b);
    assertCode(world.open(c), ErrorCode.FILE_NOT_AVAILABLE);
  });

  inEachSituation("reconnect-contended-replay: the contender's own replay waits again", (lose) => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n3");
    world.file("file");
    const holder = world.opened(a, { guid: "g", leaseKey: "ka", lease: RWH });
    lose(world, a);
    if (!world.session(b).connected) world.connect(b);
    const request = { slot: 1, sequence: 1 };
    const first = world.open(b, { guid: "gb", request });
    assert(isParked(first));
    world.disconnect(b);
    world.connect(b);
    const again = world.open(b, { guid: "gb", request, replay: true });
    assert(isParked(again));
    assert.equal(again.repeated, true);
    assert.equal(again.open?.pendingId, first.open?.pendingId);
    assertCode(world.open(b, { guid: "gb", replay: true }), ErrorCode.FILE_NOT_AVAILABLE);
    world.connect(a);
    world.reconnect(a, holder);
    world.ack(a, "ka", RH);
    const third = world.open(b, { guid: "gb", request, replay: true });
    assert.equal(third.open?.status, v1.OpenResult.Status.DONE);
  });

  it("a parked open can be cancelled, survives a change of its owner, and leaves no trace then", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n3");
    world.file("file");
    world.opened(a, { guid: "g", leaseKey: "ka", lease: RWH });
    const parked = world.open(b, { guid: "gb", request: { slot: 0, sequence: 1 } });
    world.kill("n3");
    world.restart();
    world.connect(b);
    world.ok({ cancelPending: { fence: world.fence(b), pendingId: parked.open?.pendingId ?? 0 } });
    const done = world.eventsOf("pending-done")[0];
    assert.equal(done?.node, world.session(b).owner);
    assertCode(done?.pendingDone?.result ?? {}, ErrorCode.CANCELLED);
    assert.equal([...world.machine.pending()].length, 0);
    assert.equal([...world.machine.handlesOfSession(b.sessionId)].length, 0);
    assertCode(world.open(b, { guid: "gb", request: { slot: 0, sequence: 1 } }), ErrorCode.CANCELLED);
  });
});

describe("smb2.persistent-open-failover", () => {
  inEachSituation("failover-reconnect, three failovers in a row", (lose) => {
    const world = new World();
    const a = world.client("a");
    world.file("file");
    const handle = world.opened(a, { guid: "g", leaseKey: "k", lease: RWH });
    world.lock(a, handle, 0, 10);
    const epoch = world.lease(a, "k")?.epoch;
    let volatileId = handle.volatileId;
    for (let round = 0; round < 3; round++) {
      lose(world, a);
      world.connect(a);
      const resumed = world.reconnect(a, handle);
      assert.equal(resumed.error, undefined);
      assert.notEqual(resumed.open?.handle?.volatileId, volatileId);
      volatileId = resumed.open?.handle?.volatileId ?? 0;
      assert.equal(resumed.open?.lease?.epoch, epoch, "no change of the lease, no change of its epoch");
      assert.equal(resumed.open?.handle?.locks?.length, 1);
    }
  });

  it("an effect in flight is handed over, resolved by the new owner, and its answer given to the repeat", () => {
    for (let failovers = 1; failovers <= 3; failovers++) {
      const world = new World();
      const a = world.client("a");
      const command = { guid: "g", disposition: v1.Disposition.CREATE, request: { slot: 0, sequence: 1 } };
      const begun = world.run(world.openCommand(a, command));
      const effect = effectOf(begun);
      assert(effect);
      for (let i = 0; i < failovers; i++) {
        const owner = world.session(a).owner ?? "";
        world.kill(owner);
        world.register(owner, 2 + i);
      }
      world.restart();
      assert.equal(world.session(a).takenOver, true);
      assertCode(world.run(world.openCommand(a, { path: "other" })), ErrorCode.NOT_READY);
      const handed = [...world.machine.effects()][0];
      assert.equal(handed?.handedOver, failovers);
      const late = world.finish(effect);
      assertCode(late, ErrorCode.NOT_OWNER);
      world.connect(a);
      const repeat = world.run(world.openCommand(a, command));
      assert.equal(repeat.repeated, true);
      assert.equal(repeat.open?.handle?.createAction, v1.CreateAction.CREATED);
      assert.deepEqual(Buffer.from(repeat.open?.handle?.createGuid ?? []), Buffer.from(guid("g")));
    }
  });
});
