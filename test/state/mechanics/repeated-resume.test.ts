import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import { RH, World } from "../harness.js";

const request = { slot: 0, sequence: 1 };

describe("the repeat of a resume (semantics A6, B6)", () => {
  // Scenes seed 6020303: the break of a lease was told on a connection that ended, and never again.
  it("a repeated resume on the next connection resumes again, and tells a break again", () => {
    const world = new World();
    const [a, b] = [world.client("a"), world.client("b")];
    const handle = world.opened(a, { guid: "g", leaseKey: "k", lease: RH });
    world.disconnect(a);
    world.open(b, { guid: "h", disposition: v1.Disposition.OVERWRITE });
    world.connect(a);
    const first = world.reconnect(a, handle, { request });
    assert.equal(first.error, undefined);
    assert.equal(world.eventsOf("lease-break").length, 1);
    world.disconnect(a);
    world.connect(a);
    const again = world.reconnect(a, handle, { request });
    assert.equal(again.error, undefined);
    assert.equal(world.eventsOf("lease-break").length, 1, "told by this entry, too");
    assert.notEqual(again.open?.handle?.volatileId, first.open?.handle?.volatileId);
    assert.equal(again.revision, world.index);
    const once = world.reconnect(a, handle, { request });
    assert.equal(once.repeated, true);
    assert.equal(
      once.open?.handle?.volatileId,
      again.open?.handle?.volatileId,
      "it is in the client's hand already",
    );
    assert.equal(once.revision, world.index, "what it says is of now");
  });

  it("a repeated resume takes nothing back from another session of its client", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    world.disconnect(a);
    world.connect(a);
    assert.equal(world.reconnect(a, handle, { request }).error, undefined);
    world.disconnect(a);
    const second = world.client("a", "n2", { resumeToken: new Uint8Array(16).fill(3) });
    assert.equal(world.reconnect(second, handle).error, undefined);
    world.connect(a);
    // In the middle of its own next resume: here the state would have to give it back, if it took the repeat for one.
    world.disconnect(second);
    assert.equal(world.reconnect(a, handle, { request }).repeated, true);
    assert.equal(world.handle(handle).sessionId, second.sessionId);
  });

  it("a repeated resume revives nothing that was closed", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    world.disconnect(a);
    world.connect(a);
    const first = world.reconnect(a, handle, { request });
    assert.equal(first.error, undefined);
    world.close(a, handle);
    const again = world.reconnect(a, handle, { request });
    assert.equal(again.repeated, true);
    assert.equal(again.revision, first.revision);
    assert.equal(world.handle(handle)?.state, v1.HandleState.HANDLE_CLOSED);
  });
});
