import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import { limits } from "../../../src/wire/limits.js";
import { assertCode, type Client, isParked, RWH, World } from "../harness.js";

const { ErrorCode } = v1;
const WAIT = { failImmediately: false };
/** Reads attributes only, so that it stands in nobody's way. */
const ATTRIBUTES = 0x80;

function two(nodeOfB = "n1") {
  const world = new World();
  world.file("file");
  const a = world.client("a");
  const b = world.client("b", nodeOfB);
  return { world, a, b, ha: world.opened(a, { guid: "ga" }), hb: world.opened(b, { guid: "gb" }) };
}

function waiting(world: World): number {
  return [...world.machine.pending()].length;
}

function element(offset: number, length = 1): v1.ILockElement {
  return { offset, length, exclusive: true, failImmediately: true };
}

/** Each of these rules was taken out once, and no other test of the tables noticed. */
describe("byte-range locks at their edges", () => {
  it("a lock waits for the lease that it breaks, and is granted with the acknowledgement", () => {
    const world = new World();
    world.file("file");
    const [a, b] = [world.client("a"), world.client("b")];
    const hb = world.opened(b, { access: ATTRIBUTES });
    world.opened(a, { guid: "ga", leaseKey: "k", lease: RWH });
    assert.equal(world.lease(a, "k")?.state, RWH);
    assert(isParked(world.lock(b, hb, 0, 1)), "though it may not wait for a lock");
    assert.equal(world.handle(hb).locks?.length, 0);
    assert.equal(world.ack(a, "k", 0).error, undefined);
    assert.equal(world.handle(hb).locks?.length, 1);
  });

  it("a handle has so many locks and no more, whether they come alone or in an array", function () {
    // Ten thousand ranges, each held against all before it.
    this.timeout(60_000);
    const { world, a, ha } = two();
    const { locksPerHandleMax: most, lockElementsMax: atOnce } = limits;
    for (let from = 0; from < most; from += atOnce) {
      const count = Math.min(atOnce, most - from);
      const elements = Array.from({ length: count }, (_, i) => element(2 * (from + i)));
      world.ok(world.lockCommand(a, ha, elements));
    }
    assertCode(world.lock(a, ha, 2 * most, 1), ErrorCode.LIMIT_EXCEEDED);
    assert.equal(world.handle(ha).locks?.length, most);
    world.unlock(a, ha, 0, 1);
    assertCode(
      world.run(world.lockCommand(a, ha, [element(2 * most), element(2 * most + 2)])),
      ErrorCode.LIMIT_EXCEEDED,
    );
    assert.equal(world.lock(a, ha, 2 * most, 1).error, undefined);
  });

  it("ranges of one array that meet each other are a conflict of its own", () => {
    const { world, a, ha } = two();
    assertCode(world.run(world.lockCommand(a, ha, [element(0, 5), element(4)])), ErrorCode.LOCK_NOT_GRANTED);
    assert.equal(world.handle(ha).locks?.length, 0);
  });

  it("an array of unlocks ends at the first that matches nothing", () => {
    const { world, a, ha } = two();
    world.ok(world.lockCommand(a, ha, [element(0), element(1)]));
    const unlocks = [0, 7, 1].map((offset) => ({ offset, length: 1, unlock: true }));
    assertCode(world.run(world.lockCommand(a, ha, unlocks)), ErrorCode.RANGE_NOT_LOCKED);
    assert.deepEqual(
      world.handle(ha).locks?.map(({ offset }) => Number(offset)),
      [1],
    );
  });

  describe("a waiting lock under a bucket", () => {
    /** Two locks of a wait; the second handle of B waits under the bucket [1, 1]. */
    function waits(): { world: World; b: Client; hb: v1.IHandleRecord; other: v1.IHandleRecord } {
      const { world, a, b, ha, hb } = two();
      world.lock(a, ha, 0, 10);
      const other = world.opened(b, { guid: "other" });
      assert(isParked(world.lock(b, other, 0, 5, { ...WAIT, bucket: [1, 1] })));
      return { world, b, hb, other };
    }

    it("is not the same as one of another handle, bucket or number", () => {
      const { world, b, hb, other } = waits();
      world.lock(b, hb, 6, 1, { ...WAIT, bucket: [1, 1] });
      assert.equal(waiting(world), 2, "another handle");
      world.lock(b, other, 7, 1, { ...WAIT, bucket: [2, 1] });
      assert.equal(waiting(world), 3, "another bucket");
      world.lock(b, other, 8, 1, { ...WAIT, bucket: [1, 2] });
      assert.equal(waiting(world), 4, "another number");
      world.lock(b, other, 0, 5, { ...WAIT, bucket: [1, 17] });
      assert.equal(waiting(world), 4, "of a number four bits count");
      assertCode(world.eventsOf("pending-done")[0]?.pendingDone?.result ?? {}, ErrorCode.CANCELLED);
    });

    it("fills its bucket when it is granted, once", () => {
      const { world, b, other } = waits();
      const a = [...world.machine.sessions()].find(({ clientName }) => clientName === "a");
      world.run({
        closeSession: {
          fence: { sessionId: a?.id ?? 0, epoch: a?.epoch ?? 0, node: "n1", nodeIncarnation: 1 },
        },
      });
      assert.equal(world.handle(other).locks?.length, 1);
      assert.equal(world.lock(b, other, 0, 5, { bucket: [1, 1] }).lock?.replayed, true);
      world.lock(b, other, 0, 5, { unlock: true, bucket: [1, 2] });
      assertCode(world.lock(b, other, 50, 1, { unlock: true, bucket: [1, 3] }), ErrorCode.RANGE_NOT_LOCKED);
      assert.equal(world.handle(other).lockBuckets?.length ?? 0, 0, "a failure leaves the bucket invalid");
      world.lock(b, other, 0, 5, { bucket: [1, 4] });
      assert.equal(world.handle(other).lockBuckets?.length, 1, "one number a bucket");
    });
  });

  describe("turns", () => {
    it("are taken in the order of arrival by ranges that meet, whoever was let go first", () => {
      const { world, a, b, ha, hb } = two();
      const c = world.client("c");
      const hc = world.opened(c);
      world.lock(a, ha, 0, 10);
      world.lock(b, hb, 5, 10, WAIT);
      world.lock(c, hc, 12, 10, WAIT);
      assert.equal(waiting(world), 2, "free, but behind who waits for a part of it");
      world.lock(c, hc, 30, 1, WAIT);
      assert.equal(waiting(world), 2, "nobody waits for this one");
      world.unlock(a, ha, 0, 10);
      assert.equal(world.handle(hb).locks?.length, 1);
      assert.equal(world.handle(hc).locks?.length, 1);
      world.unlock(b, hb, 5, 10);
      assert.equal(world.handle(hc).locks?.length, 2);
    });

    it("are not waited for by the handle that waits itself, nor by whom it waits for", () => {
      const { world, a, b, ha, hb } = two();
      world.lock(a, ha, 0, 10);
      world.lock(b, hb, 5, 10, WAIT);
      assert.equal(world.lock(b, hb, 12, 1).error, undefined, "its own wait");
      assert.equal(world.lock(a, ha, 14, 1).error, undefined, "who holds what is waited for");
      const c = world.client("c");
      const hc = world.opened(c);
      world.lock(c, hc, 100, 1);
      assertCode(world.lock(c, hc, 11, 1), ErrorCode.LOCK_NOT_GRANTED);
    });

    it("pass on when who is next gives up: by cancelling, closing, or leaving for good", () => {
      for (const way of ["cancel", "close", "expire"] as const) {
        const { world, a, b, ha, hb } = two();
        const c = world.client("c");
        const hc = world.opened(c, { guid: "gc" });
        world.lock(a, ha, 0, 10);
        const parked = world.lock(b, hb, 0, 20, WAIT);
        world.lock(c, hc, 10, 10, WAIT);
        assert.equal(world.handle(hc).locks?.length, 0, way);
        if (way === "cancel")
          world.ok({ cancelPending: { fence: world.fence(b), pendingId: parked.lock?.pendingId ?? 0 } });
        else if (way === "close") world.close(b, hb);
        else {
          world.disconnect(b);
          assert.equal(world.handle(hc).locks?.length, 0, "it keeps its place while it is away");
          world.pass(600_000);
        }
        assert.equal(world.handle(hc).locks?.length, 1, way);
        assert.equal(waiting(world), 0, way);
      }
    });
  });

  it("a call that waits can be cancelled by its session alone, also while that is being moved", () => {
    const { world, a, b, ha, hb } = two();
    world.lock(a, ha, 0, 10);
    const pendingId = world.lock(b, hb, 0, 10, WAIT).lock?.pendingId ?? 0;
    assertCode(world.run({ cancelPending: { fence: world.fence(a), pendingId } }), ErrorCode.NO_CHANGE);
    assert.equal(waiting(world), 1);
    world.ok({ cancelPending: { fence: world.fence(b), pendingId } });
    assert.equal(waiting(world), 0);
  });

  it("other nodes hear of all locks of the file, and of those that are announced, not of those that wait", () => {
    const { world, a, b, ha, hb } = two("n2");
    const prepared = (node: string) => {
      const pending = [...world.machine.pending()].find(({ preparing }) => (preparing?.length ?? 0) > 0);
      world.ok({ lockPrepared: { node, nodeIncarnation: 1, pendingId: pending?.id ?? 0 } });
    };
    world.lock(a, ha, 0, 10);
    prepared("n2");
    world.lock(a, ha, 20, 10);
    prepared("n2");
    const table = () => world.eventsOf("file-locks").at(-1)?.fileLocks;
    assert.equal(table()?.locks?.length, 2, "his own earlier one among them");
    world.lock(b, hb, 5, 1, WAIT);
    world.lock(b, hb, 50, 1);
    world.unlock(a, ha, 20, 10);
    assert.deepEqual(
      [table()?.locks, table()?.preparing].map((locks) => locks?.map(({ offset }) => Number(offset))),
      [[0], [50]],
    );
  });
});
