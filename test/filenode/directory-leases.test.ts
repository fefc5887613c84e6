import assert from "node:assert/strict";
import { access } from "../../src/filenode/access.js";
import { ErrorCode } from "../../src/wire/errors.js";
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

/** Who changes a directory by path names its own lease of it in the call, as it has no handle to say it by. */
describe("calls by path and the leases of the directory", () => {
  const share = "demo";
  const calls: Record<string, (parentLeaseKey: Uint8Array | null) => v1.IFileRequest> = {
    remove: (parentLeaseKey) => ({ remove: { share, path: "d/f", parentLeaseKey } }),
    rename: (parentLeaseKey) => ({ rename: { share, path: "d/f", targetPath: "d/g", parentLeaseKey } }),
    makeDirectory: (parentLeaseKey) => ({ makeDirectory: { share, path: "d/new", parentLeaseKey } }),
  };
  let alice: TestClient;
  let bob: TestClient;

  beforeEach(async () => {
    const world = new World();
    world.init();
    const n1 = await world.start("n1");
    alice = await TestClient.make(1).open(n1);
    bob = await TestClient.make(2).open(n1);
    await bob.must({ makeDirectory: { share, path: "d" } });
    const first = await bob.openFile("d/f");
    await bob.must({ close: { handle: first.handle ?? null } });
    for (const [client, name] of [
      [alice, "alice"],
      [bob, "bob"],
    ] as const)
      await client.openFile("d", {
        createGuid: guidOf(`${name} has d`),
        wantDirectory: true,
        desiredAccess: access.readData,
        disposition: v1.Disposition.OPEN,
        lease: { key: guidOf(`${name}'s lease`), state: 3, version: 2 },
      });
  });

  const told = (client: TestClient) => client.notices.filter(({ leaseBreak }) => leaseBreak).length;

  for (const [name, call] of Object.entries(calls)) {
    it(`${name} ends those of others, and not the one that it names as its client's own`, async () => {
      await alice.must(call(guidOf("alice's lease")), { request: alice.requestId() });
      await quiet();
      assert.deepEqual([told(alice), told(bob)], [0, 1]);
    });

    it(`${name} that names none, or one of somebody else, ends all`, async () => {
      await alice.must(call(name === "remove" ? null : guidOf("bob's lease")), {
        request: alice.requestId(),
      });
      await quiet();
      assert.deepEqual([told(alice), told(bob)], [1, 1]);
    });

    it(`${name} under a known request id with another key is refused`, async () => {
      const request = alice.requestId();
      await alice.must(call(guidOf("alice's lease")), { request });
      await alice.refused(ErrorCode.REQUEST_MISMATCH, call(guidOf("another")), { request, replay: true });
      await alice.must(call(guidOf("alice's lease")), { request, replay: true });
    });
  }

  it("a key of another length is refused", async () => {
    await alice.refused(ErrorCode.INVALID_ARGUMENT, {
      makeDirectory: { share, path: "d/new", parentLeaseKey: new Uint8Array(3) },
    });
  });
});
