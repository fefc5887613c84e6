import assert from "node:assert/strict";
import { v1 } from "../../src/wire/index.js";
import { ALL, assertCode, DELETE, isParked, READ, RWH, World } from "./harness.js";

describe("state: the first path", () => {
  it("opens, locks, fails over, resumes, unlocks, closes", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2");
    const handle = world.opened(a, { path: "dir/file", guid: "g", access: ALL });
    assert.equal(handle.createAction, v1.CreateAction.CREATED);
    assert.equal(world.lock(a, handle, 0, 10).error, undefined);
    world.kill("n1");
    const moved = world.session(a);
    assert.notEqual(moved.owner, "n1");
    assert.equal(moved.epoch, 2);
    assertCode(world.open(b, { path: "dir/file" }), v1.ErrorCode.FILE_NOT_AVAILABLE);
    world.restart();
    world.connect(a);
    const resumed = world.reconnect(a, handle);
    assert.equal(resumed.error, undefined);
    assert.equal(world.unlock(a, handle, 0, 10).error, undefined);
    const other = world.opened(b, { path: "dir/file" });
    assert.equal(world.close(b, other).error, undefined);
    assert.equal(world.close(a, handle).error, undefined);
    world.restart();
  });

  it("parks an open on a lease break and answers it after the acknowledgement", () => {
    const world = new World();
    const a = world.client("a");
    const b = world.client("b", "n2");
    world.file("file");
    world.opened(a, { leaseKey: "k", lease: RWH, access: READ | DELETE });
    const waiting = world.open(b, {});
    assert(isParked(waiting));
    assert.equal(world.eventsOf("lease-break").length, 1);
    world.restart();
    assert.equal(world.ack(a, "k", 3).error, undefined);
    const done = world.eventsOf("pending-done")[0];
    assert.equal(done?.node, "n2");
    assert.equal(done?.pendingDone?.result?.open?.status, v1.OpenResult.Status.DONE);
  });
});
