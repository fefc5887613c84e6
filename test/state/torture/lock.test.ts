import assert from "node:assert/strict";
import { fromBigInt, U64_MAX, v1 } from "../../../src/wire/index.js";
import { limits } from "../../../src/wire/limits.js";
import { assertCode, type Client, isParked, RWH, World } from "../harness.js";
import { inEachSituation } from "../situations.js";

const { ErrorCode } = v1;

function two(node = "n1"): {
  world: World;
  a: Client;
  b: Client;
  ha: v1.IHandleRecord;
  hb: v1.IHandleRecord;
} {
  const world = new World();
  world.file("file");
  const a = world.client("a");
  const b = world.client("b", node);
  return { world, a, b, ha: world.opened(a, { guid: "ga" }), hb: world.opened(b, { guid: "gb" }) };
}

describe("smb2.lock", () => {
  it("valid-request: arrays, mixtures, empty and too long", () => {
    const { world, a, ha } = two();
    const element = { offset: 0, length: 1, exclusive: true, failImmediately: true };
    const run = (elements: v1.ILockElement[]) => world.run(world.lockCommand(a, ha, elements));
    assertCode(run([]), ErrorCode.INVALID_PARAMETER);
    assertCode(
      run([element, { ...element, offset: 5, failImmediately: false }]),
      ErrorCode.INVALID_PARAMETER,
    );
    assertCode(run([element, { ...element, unlock: true }]), ErrorCode.INVALID_PARAMETER);
    assertCode(run([{ ...element, offset: fromBigInt(U64_MAX), length: 2 }]), ErrorCode.INVALID_LOCK_RANGE);
    const many = Array.from({ length: limits.lockElementsMax + 1 }, (_, i) => ({ ...element, offset: i }));
    assertCode(run(many), ErrorCode.LIMIT_EXCEEDED);
    assert.equal(run(many.slice(1)).error, undefined);
    world.file("dir", true);
    const dir = world.opened(a, { path: "dir", directory: true, access: 1 });
    assertCode(world.lock(a, dir, 0, 1), ErrorCode.INVALID_PARAMETER);
  });

  it("range: to 2^64-1", () => {
    const { world, a, b, ha, hb } = two();
    const last = { offset: fromBigInt(U64_MAX), length: 1, exclusive: true, failImmediately: true };
    assert.equal(world.run(world.lockCommand(a, ha, [last])).error, undefined);
    assertCode(world.run(world.lockCommand(b, hb, [last])), ErrorCode.LOCK_NOT_GRANTED);
    const all = { ...last, offset: 0, length: fromBigInt(U64_MAX) };
    assert.equal(world.run(world.lockCommand(b, hb, [all])).error, undefined, "ends one byte before it");
    world.restart();
    assertCode(
      world.run(world.lockCommand(a, ha, [{ ...last, offset: fromBigInt(U64_MAX - 1n) }])),
      ErrorCode.LOCK_NOT_GRANTED,
    );
    assert.equal(world.run(world.lockCommand(a, ha, [{ ...last, unlock: true }])).error, undefined);
  });

  it("zerobytelength: a point conflicts with a range that spans it", () => {
    const { world, a, b, ha, hb } = two();
    world.lock(a, ha, 10, 10);
    assert.equal(world.lock(b, hb, 10, 0).error, undefined);
    assert.equal(world.lock(b, hb, 20, 0).error, undefined);
    assertCode(world.lock(b, hb, 11, 0), ErrorCode.LOCK_NOT_GRANTED);
    assert.equal(world.lock(b, hb, 0, 0).error, undefined);
  });

  it("overlap, contend: adjacent ranges do not meet, overlapping ones do", () => {
    const { world, a, b, ha, hb } = two();
    world.lock(a, ha, 10, 10);
    assert.equal(world.lock(b, hb, 0, 10).error, undefined);
    assert.equal(world.lock(b, hb, 20, 10).error, undefined);
    assertCode(world.lock(b, hb, 19, 1), ErrorCode.LOCK_NOT_GRANTED);
    assertCode(world.lock(b, hb, 0, 11), ErrorCode.LOCK_NOT_GRANTED);
    assertCode(world.lock(b, hb, 12, 1, { exclusive: false }), ErrorCode.LOCK_NOT_GRANTED);
  });

  it("stacking: shared locks stack and need as many unlocks; exclusive ones do not", () => {
    const { world, a, b, ha, hb } = two();
    assert.equal(world.lock(a, ha, 0, 1, { exclusive: false }).error, undefined);
    assert.equal(world.lock(a, ha, 0, 1, { exclusive: false }).error, undefined);
    assertCode(world.lock(a, ha, 0, 1), ErrorCode.LOCK_NOT_GRANTED);
    world.unlock(a, ha, 0, 1);
    assertCode(world.lock(b, hb, 0, 1), ErrorCode.LOCK_NOT_GRANTED);
    world.unlock(a, ha, 0, 1);
    assert.equal(world.lock(b, hb, 0, 1).error, undefined);
    assertCode(world.lock(b, hb, 0, 1), ErrorCode.LOCK_NOT_GRANTED);
  });

  it("unlock: has to match exactly", () => {
    const { world, a, ha } = two();
    world.lock(a, ha, 0, 10);
    assertCode(world.unlock(a, ha, 0, 9), ErrorCode.RANGE_NOT_LOCKED);
    assertCode(world.unlock(a, ha, 1, 9), ErrorCode.RANGE_NOT_LOCKED);
    assert.equal(world.unlock(a, ha, 0, 10).error, undefined);
    assertCode(world.unlock(a, ha, 0, 10), ErrorCode.RANGE_NOT_LOCKED);
  });

  it("multiple-unlock: unlock arrays are not rolled back", () => {
    const { world, a, ha } = two();
    world.lock(a, ha, 0, 1);
    const unlocks = [0, 5].map((offset) => ({ offset, length: 1, unlock: true }));
    assertCode(world.run(world.lockCommand(a, ha, unlocks)), ErrorCode.RANGE_NOT_LOCKED);
    assert.equal(world.handle(ha).locks?.length, 0);
  });

  it("lock arrays are rolled back", () => {
    const { world, a, b, ha, hb } = two();
    world.lock(b, hb, 5, 1);
    const locks = [0, 5].map((offset) => ({ offset, length: 1, exclusive: true, failImmediately: true }));
    assertCode(world.run(world.lockCommand(a, ha, locks)), ErrorCode.LOCK_NOT_GRANTED);
    assert.equal(world.handle(ha).locks?.length, 0);
  });

  it("auto-unlock: closing frees the locks and lets waiters go on", () => {
    const { world, a, b, ha, hb } = two();
    world.lock(a, ha, 0, 10);
    assert(isParked(world.lock(b, hb, 5, 1, { failImmediately: false })));
    world.close(a, ha);
    assert.equal(world.eventsOf("pending-done").length, 1);
    assert.equal(world.handle(hb).locks?.length, 1);
  });

  it("async: waiting locks are granted in the order of their arrival", () => {
    const { world, a, b, ha, hb } = two();
    const c = world.client("c");
    const hc = world.opened(c);
    world.lock(a, ha, 0, 10);
    const first = world.lock(b, hb, 0, 10, { failImmediately: false });
    const second = world.lock(c, hc, 0, 10, { failImmediately: false });
    world.unlock(a, ha, 0, 10);
    const done = world.eventsOf("pending-done").map((event) => event.pendingDone?.pendingId);
    assert.deepEqual(done, [first.lock?.pendingId]);
    world.unlock(b, hb, 0, 10);
    assert.equal(world.eventsOf("pending-done")[0]?.pendingDone?.pendingId, second.lock?.pendingId);
  });

  it("cancel: a waiting lock ends with CANCELLED", () => {
    const { world, a, b, ha, hb } = two();
    world.lock(a, ha, 0, 10);
    const parked = world.lock(b, hb, 0, 10, { failImmediately: false });
    world.ok({ cancelPending: { fence: world.fence(b), pendingId: parked.lock?.pendingId ?? 0 } });
    assertCode(world.eventsOf("pending-done")[0]?.pendingDone?.result ?? {}, ErrorCode.CANCELLED);
    world.unlock(a, ha, 0, 10);
    assert.equal(world.handle(hb).locks?.length, 0);
    assert.equal(
      world.run({ cancelPending: { fence: world.fence(b), pendingId: 99 } }).error?.code,
      ErrorCode.NO_CHANGE,
    );
  });

  it("cancel-logoff: closing the session cancels what waits", () => {
    const { world, a, b, ha, hb } = two();
    world.lock(a, ha, 0, 10);
    world.lock(b, hb, 0, 10, { failImmediately: false });
    world.ok({ closeSession: { fence: world.fence(b) } });
    assertCode(world.eventsOf("pending-done")[0]?.pendingDone?.result ?? {}, ErrorCode.CANCELLED);
    assert.equal([...world.machine.pending()].length, 0);
  });

  inEachSituation(
    "replay_smb3_specification_durable: same number, nothing happens; another number runs",
    (lose) => {
      const { world, a, ha } = two();
      const bucket = [1, 3] as const;
      for (let round = 0; round < 3; round++) {
        assert.equal(world.lock(a, ha, 0, 10, { bucket }).error, undefined);
        lose(world, a);
        world.connect(a);
        assert.equal(world.reconnect(a, ha).error, undefined);
        const replay = world.lock(a, ha, 0, 10, { bucket });
        assert.equal(replay.error, undefined);
        assert.equal(replay.lock?.replayed, true);
        assert.equal(world.handle(ha).locks?.length, 1, "once");
        assertCode(world.lock(a, ha, 0, 10, { bucket: [1, 4] }), ErrorCode.LOCK_NOT_GRANTED);
        assertCode(world.lock(a, ha, 0, 10, { bucket: [2, 3] }), ErrorCode.LOCK_NOT_GRANTED);
        assertCode(world.lock(a, ha, 0, 10, { bucket: [1, 4] }), ErrorCode.LOCK_NOT_GRANTED);
        const unlock = { unlock: true, bucket: [3, (round + 1) & 15] as const };
        assert.equal(world.lock(a, ha, 0, 10, unlock).error, undefined);
        assert.equal(world.lock(a, ha, 0, 10, unlock).lock?.replayed, true);
      }
    },
  );

  it("replay: buckets 0 and above 64 are not checked, plain handles neither", () => {
    const { world, a, ha } = two();
    for (const index of [0, 65, 1000]) {
      assert.equal(world.lock(a, ha, index, 1, { bucket: [index, 1] }).error, undefined);
      assertCode(world.lock(a, ha, index, 1, { bucket: [index, 1] }), ErrorCode.LOCK_NOT_GRANTED);
    }
    const plain = world.opened(a, { kind: v1.HandleKind.PLAIN });
    world.lock(a, plain, 500, 1, { bucket: [1, 1] });
    assertCode(world.lock(a, plain, 500, 1, { bucket: [1, 1] }), ErrorCode.LOCK_NOT_GRANTED);
  });

  it("a waiting lock that is sent again takes the place of its original", () => {
    const { world, a, b, ha, hb } = two();
    world.lock(a, ha, 0, 10);
    const wait = { failImmediately: false, bucket: [1, 1] as const };
    world.lock(b, hb, 0, 10, wait);
    const again = world.lock(b, hb, 0, 10, wait);
    assert(isParked(again));
    assert.equal([...world.machine.pending()].length, 1);
    world.unlock(a, ha, 0, 10);
    assert.equal(world.handle(hb).locks?.length, 1);
  });

  inEachSituation(
    "a waiting lock survives the failover of its owner and is answered to the new one",
    (lose) => {
      const { world, a, b, ha, hb } = two("n2");
      const locked = world.lock(a, ha, 0, 10);
      world.ok({ lockPrepared: { node: "n2", nodeIncarnation: 1, pendingId: locked.lock?.pendingId ?? 0 } });
      const request = { slot: 3, sequence: 9 };
      const command = world.lockCommand(b, hb, [{ offset: 0, length: 10, exclusive: true }], { request });
      assert(isParked(world.run(command)));
      lose(world, b);
      world.connect(b);
      world.reconnect(b, hb);
      if (!world.session(a).connected) world.connect(a);
      world.reconnect(a, ha);
      assert.equal(world.unlock(a, ha, 0, 10).error, undefined);
      for (const event of world.eventsOf("lock-prepare")) {
        const node = world.machine.node(event.node ?? "");
        world.run({
          lockPrepared: {
            node: event.node ?? "",
            nodeIncarnation: node?.incarnation ?? 0,
            pendingId: event.lockPrepare?.pendingId ?? 0,
          },
        });
      }
      assert.equal(world.handle(hb).locks?.length, 1);
      const repeat = world.run(
        world.lockCommand(b, hb, [{ offset: 0, length: 10, exclusive: true }], { request }),
      );
      assert.equal(repeat.repeated, true);
      assert.equal(repeat.lock?.held?.length, 1);
    },
  );
});

describe("byte-range locks across nodes", () => {
  it("are granted when every other node that has the file open enforces them", () => {
    const { world, a, b, ha, hb } = two("n2");
    const c = world.client("c", "n3");
    world.opened(c);
    const parked = world.lock(a, ha, 0, 10);
    assert(isParked(parked));
    const asked = world.eventsOf("lock-prepare");
    assert.deepEqual(
      asked.map((event) => event.node),
      ["n2", "n3"],
    );
    assert.equal(asked[0]?.lockPrepare?.ranges?.length, 1);
    assert.equal(world.handle(ha).locks?.length, 0);
    const pendingId = parked.lock?.pendingId ?? 0;
    const late = world.opened(world.client("d", "n2"));
    assert.equal(late.state, v1.HandleState.HANDLE_OPEN);
    world.ok({ lockPrepared: { node: "n2", nodeIncarnation: 1, pendingId } });
    assert.equal(world.handle(ha).locks?.length, 0);
    world.restart();
    world.ok({ lockPrepared: { node: "n3", nodeIncarnation: 1, pendingId } });
    assert.equal(world.handle(ha).locks?.length, 1);
    assert.deepEqual(
      world.eventsOf("file-locks").map((event) => event.node),
      ["n2", "n3"],
    );
    assertCode(world.lock(b, hb, 5, 1), ErrorCode.LOCK_NOT_GRANTED);
    assert.equal(world.unlock(a, ha, 0, 10).error, undefined);
    assert.equal(world.eventsOf("file-locks")[0]?.fileLocks?.locks?.length, 0);
  });

  it("a node that goes down counts as having answered", () => {
    const { world, a, ha } = two("n2");
    assert(isParked(world.lock(a, ha, 0, 10)));
    world.kill("n2");
    assert.equal(world.handle(ha).locks?.length, 1);
  });

  it("an open at a new node learns of locks that are being prepared", () => {
    const { world, a, ha } = two("n2");
    world.lock(a, ha, 0, 10);
    const c = world.client("c", "n3");
    const result = world.open(c);
    assert.equal(result.open?.locks?.length, 1);
  });

  it("while one is being prepared, another for the range is refused or waits behind it", () => {
    const { world, a, b, ha, hb } = two("n2");
    const first = world.lock(a, ha, 0, 10);
    assertCode(world.lock(b, hb, 5, 10), ErrorCode.LOCK_NOT_GRANTED);
    assert(isParked(world.lock(b, hb, 5, 10, { failImmediately: false })));
    world.ok({ lockPrepared: { node: "n2", nodeIncarnation: 1, pendingId: first.lock?.pendingId ?? 0 } });
    assert.equal(world.handle(ha).locks?.length, 1);
    assert.equal(world.handle(hb).locks?.length, 0);
    world.unlock(a, ha, 0, 10);
    const [second] = [...world.machine.pending()];
    world.ok({ lockPrepared: { node: "n1", nodeIncarnation: 1, pendingId: second?.id ?? 0 } });
    assert.equal(world.handle(hb).locks?.length, 1);
  });

  it("lock-lease: an RWH holder's own lease stays, its locks survive", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g", leaseKey: "k", lease: RWH });
    assert.equal(world.lock(a, handle, 0, 10).error, undefined);
    assert.equal(world.lease(a, "k")?.state, RWH);
  });
});
