import assert from "node:assert/strict";
import type { CoordinatorClient, CoordinatorEvents } from "../../src/coordinator/api.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { quiet, TestClient, World } from "./world.js";

/** A coordinator that tells its node nothing of what happens, until `resync` says that something was missed. */
function deaf(world: World): { readonly client: CoordinatorClient; readonly resync: () => void } {
  let listener: CoordinatorEvents | null = null;
  const client = {
    ...world.coordinator.client(),
    watch: (_node: string, events: CoordinatorEvents) => {
      listener = events;
      return () => {};
    },
  };
  return { client, resync: () => listener?.onResync(world.coordinator.revision) };
}

describe("a ping on a connection with a session", () => {
  // Found by the simulator, cluster seed 313: its client believed its session in good hands until that had expired.
  it("is refused once the session has left the node, or while the node may not serve it", async () => {
    const world = new World();
    world.init();
    const n1 = await world.start("n1");
    await world.start("n2");
    const alice = await TestClient.make(1).open(n1);
    const ping = async () => (await alice.ask({ ping: {} })).error?.code ?? 0;
    assert.equal(await ping(), 0);
    n1.lease.held = false;
    assert.equal(await ping(), ErrorCode.LEASE_LOST);
    n1.lease.held = true;
    world.nodeDown(n1);
    await quiet();
    assert.equal(await ping(), ErrorCode.NOT_OWNER);
  });
});

describe("a file node that loads what it owns", () => {
  // Found by the simulator, cluster seed 50: a snapshot had skipped the event, and the move waited until it was given up.
  it("releases a session that was frozen in what it has not heard of", async () => {
    const world = new World();
    world.init();
    const { client: coordinator, resync } = deaf(world);
    const n1 = await world.start("n1", { coordinator });
    await world.start("n2");
    const alice = await TestClient.make(1).open(n1);
    const sessionId = alice.info.sessionId ?? 0;
    const item = { sessionId, from: "n1", to: "n2", epochBefore: 1 };
    world.coordinator.apply({ beginOperation: { operation: { id: "op", kind: "transfer", items: [item] } } });
    const fence = { sessionId, epoch: 1, node: "n1", nodeIncarnation: 1 };
    world.coordinator.apply({ freezeSession: { fence, operationId: "op" } });
    await quiet();
    assert.equal(world.coordinator.state.session(sessionId)?.owner, "n1");
    resync();
    await quiet();
    assert.equal(world.coordinator.state.session(sessionId)?.owner, "n2");
  });

  // Found behind cluster seeds 4 and 436: a lock asked a node that had just registered and did not listen yet.
  it("answers what was asked of it before it listened: a lock, and the end of a file for an append", async () => {
    const world = new World();
    world.init();
    const { client: coordinator, resync } = deaf(world);
    const n1 = await world.start("n1", { coordinator });
    const n2 = await world.start("n2");
    const [alice, bob] = [await TestClient.make(1).open(n1), await TestClient.make(2).open(n2)];
    const shared = { shareMode: { read: true, write: true, delete: true } };
    const hers = await alice.openFile("f", shared);
    const his = await bob.openFile("f", shared);
    const elements = [{ offset: 0, length: 8, exclusive: true }];
    const lock = bob.ask(
      { lock: { handle: his.handle ?? null, sequenceIndex: 1, sequenceNumber: 1, elements } },
      { request: bob.requestId(1) },
    );
    const append = bob.ask(
      { write: { handle: his.handle ?? null, append: true, data: Buffer.from("end") } },
      { request: bob.requestId(2) },
    );
    await quiet();
    assert.equal([...world.coordinator.state.pending()].length, 2, "both wait for n1");
    resync();
    assert.equal((await lock).error ?? null, null);
    assert.equal((await append).error ?? null, null);
    // What it enforces is what it was asked for.
    const write = { handle: hers.handle ?? null, offset: 0, data: Buffer.from("x") };
    await alice.refused(ErrorCode.FILE_LOCK_CONFLICT, { write }, { request: alice.requestId(3) });
    await alice.must({ write: { ...write, offset: 20 } }, { request: alice.requestId(4) });
  });
});
