import assert from "node:assert/strict";
import { access } from "../../src/filenode/access.js";
import { v1 } from "../../src/wire/index.js";
import { guidOf, quiet, TestClient, type TestNode, World } from "./world.js";

/** A cached listing shows sizes and times: the node tells the state at a close whether there may be others now. */
describe("a close and the leases of the directory", () => {
  let world: World;
  let n1: TestNode;
  let alice: TestClient;
  let bob: TestClient;

  beforeEach(async () => {
    world = new World();
    world.init();
    n1 = await world.start("n1");
    alice = await TestClient.make(1).open(n1);
    bob = await TestClient.make(2).open(n1);
    await bob.must({ makeDirectory: { share: "demo", path: "d" } });
    const first = await bob.openFile("d/f");
    await bob.must({ close: { handle: first.handle ?? null } });
  });

  const leased = () =>
    bob.openFile("d", {
      wantDirectory: true,
      desiredAccess: access.readData,
      disposition: v1.Disposition.OPEN,
      lease: { key: guidOf("lease of d"), state: 3, version: 2 },
    });

  async function closed(handle: v1.IHandleId | null | undefined): Promise<number> {
    await quiet();
    const before = bob.notices.length;
    await alice.must({ close: { handle: handle ?? null } });
    await quiet();
    return bob.notices.slice(before).filter(({ leaseBreak }) => leaseBreak).length;
  }

  it("ends none when it has only read", async () => {
    const open = await alice.openFile("d/f", { createGuid: guidOf("alice") });
    await alice.read(open);
    await leased();
    assert.equal(await closed(open.handle), 0);
  });

  it("ends them when it has written, even before they were granted", async () => {
    const open = await alice.openFile("d/f", { createGuid: guidOf("alice") });
    await alice.write(open, 0, "more");
    await leased();
    assert.equal(await closed(open.handle), 1);
  });

  it("ends them when it was taken up again: what was written before is not known here", async () => {
    const open = await alice.openFile("d/f", { createGuid: guidOf("alice") });
    await alice.write(open, 0, "more");
    alice.hangUp();
    await quiet();
    await alice.resume(n1);
    const again = await alice.reconnect(open, "d/f", guidOf("alice"));
    await leased();
    assert.equal(await closed(again.handle), 1);
  });
});
