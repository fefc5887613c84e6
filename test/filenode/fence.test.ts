import assert from "node:assert/strict";
import type { MemoryFaults } from "../../src/testing/memory-vfs.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { guidOf, quiet, TestClient, World } from "./world.js";

/** A share whose writes of one node can be held in the kernel. */
function holdable() {
  let holding = false;
  const held: (() => void)[] = [];
  const faults: MemoryFaults = (operation, _path, phase) => {
    if (operation !== "write" || phase !== "before" || !holding) return;
    return new Promise<void>((resolve) => held.push(resolve));
  };
  return {
    faults,
    hold: () => {
      holding = true;
    },
    release: () => {
      for (const go of held.splice(0)) go();
    },
    get count() {
      return held.length;
    },
  };
}

async function lateWrite(fence: boolean, other: boolean) {
  const world = new World();
  world.init();
  const kernel = holdable();
  const n1 = await world.start("n1", { faults: kernel.faults });
  const options = fence ? { fence: "copy-on-takeover" as const } : {};
  const n2 = await world.start("n2", options);
  const alice = await TestClient.make(1).open(n1);
  const open = await alice.openFile("f");
  await alice.write(open, 0, "acknowledged");
  if (other) {
    const bob = await TestClient.make(2, "bob").open(await world.start("n3"));
    await bob.openFile("f", { createGuid: guidOf("bob") });
  }
  kernel.hold();
  const queued = Array.from({ length: 8 }, (_, i) =>
    alice.ask({ write: { handle: open.handle ?? null, offset: i, data: new Uint8Array([88]) } }),
  );
  await quiet();
  assert.equal(kernel.count, 1, "one write of the handle is in the kernel, the others wait");
  world.kill(n1);
  await quiet();
  world.time.advance(1000);
  const node =
    world.coordinator.state.session(Number(alice.info.sessionId))?.owner === "n2"
      ? n2
      : world.nodes.get("n3");
  assert.ok(node);
  alice.hangUp();
  const resumed = await alice.resume(node);
  assert.equal(resumed.error ?? null, null, resumed.error?.message ?? "");
  const again = await alice.reconnect(open, "f");
  await alice.write(again, 0, "A");
  kernel.release();
  await Promise.all(queued);
  await quiet();
  return { node: node.name, content: await alice.read(again), world };
}

describe("late writes of an owner that was taken for dead", () => {
  it("land in a file without a name, with the fence that continues on a copy", async () => {
    const { content, world } = await lateWrite(true, false);
    assert.equal(content, "Acknowledged");
    assert.deepEqual([...world.coordinator.state.effects()], []);
  });

  it("do so too when the client settles elsewhere before its new owner has fenced", async () => {
    const world = new World();
    world.init();
    const kernel = holdable();
    const n1 = await world.start("n1", { faults: kernel.faults });
    const fence = "copy-on-takeover" as const;
    const others = [await world.start("n2", { fence }), await world.start("n3", { fence })];
    const alice = await TestClient.make(1).open(n1);
    const open = await alice.openFile("f");
    await alice.write(open, 0, "acknowledged");
    kernel.hold();
    const late = alice.ask({ write: { handle: open.handle ?? null, offset: 0, data: new Uint8Array([88]) } });
    await quiet();
    world.kill(n1);
    const assigned = world.coordinator.state.session(Number(alice.info.sessionId))?.owner;
    const elsewhere = others.find((node) => node.name !== assigned);
    assert.ok(elsewhere);
    alice.hangUp();
    const resumed = await alice.resume(elsewhere);
    assert.equal(resumed.error ?? null, null, resumed.error?.message ?? "");
    const again = await alice.reconnect(open, "f");
    await alice.write(again, 0, "A");
    kernel.release();
    await late;
    await quiet();
    assert.equal(await alice.read(again), "Acknowledged");
  });

  it("land in the file without a fence, and only what the kernel already had", async () => {
    const { content } = await lateWrite(false, false);
    assert.equal(content, "Xcknowledged");
  });

  it("do not take a file from another session of the new owner, which goes on with the same one", async () => {
    const world = new World();
    world.init();
    const n1 = await world.start("n1");
    const n2 = await world.start("n2", { fence: "copy-on-takeover" });
    const alice = await TestClient.make(1).open(n1);
    const open = await alice.openFile("f");
    await alice.write(open, 0, "from alice");
    const bob = await TestClient.make(2, "bob").open(n2);
    const his = await bob.openFile("f", { createGuid: guidOf("bob") });
    await bob.write(his, 0, "FROM");
    world.kill(n1);
    await quiet();
    alice.hangUp();
    assert.equal((await alice.resume(n2)).error ?? null, null);
    const again = await alice.reconnect(open, "f");
    await bob.write(his, 5, "BOB..");
    assert.equal(await alice.read(again), "FROM BOB..");
    await alice.write(again, 5, "ALICE");
    assert.equal(await bob.read(his), "FROM ALICE");
  });

  it("keep the session closed until the copy stands: a copy that came later would undo what was written since", async () => {
    let fails = true;
    const world = new World();
    world.init();
    const n1 = await world.start("n1");
    const n2 = await world.start("n2", {
      fence: "copy-on-takeover",
      faults: (operation, _path, phase) => {
        if (operation !== "rename" || phase !== "before" || !fails) return;
        throw new HoldfastError(ErrorCode.STORAGE_FAILED, "the share does not answer");
      },
    });
    const alice = await TestClient.make(1).open(n1);
    const open = await alice.openFile("f");
    await alice.write(open, 0, "old");
    world.kill(n1);
    await quiet();
    alice.hangUp();
    const early = alice.resume(n2);
    await quiet();
    world.time.advance(2000);
    const refused = await early;
    assert.equal(ErrorCode[refused.error?.code ?? 0], "NOT_READY", "nobody gets at the session yet");
    fails = false;
    for (let i = 0; i < 10; i++) {
      world.time.advance(1000);
      await quiet();
    }
    assert.equal((await alice.resume(n2)).error ?? null, null);
    const again = await alice.reconnect(open, "f");
    await alice.write(again, 0, "new");
    for (let i = 0; i < 10; i++) {
      world.time.advance(1000);
      await quiet();
    }
    assert.equal(await alice.read(again), "new");
    assert.deepEqual([...world.coordinator.state.effects()], []);
  });

  it("are not fenced while another owner has the file open, which goes on with its file", async () => {
    const { content } = await lateWrite(true, true);
    assert.equal(content, "Xcknowledged");
  });
});
