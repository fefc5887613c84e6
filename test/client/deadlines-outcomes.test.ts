import assert from "node:assert/strict";
import { connectOver } from "../../src/client/index.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { address, FakeCluster, refuse } from "./fake-cluster.js";
import { failover, opened, start, text } from "./started.js";
import { SEED, World } from "./world.js";

describe(`client: deadlines and outcomes (SEED=${SEED})`, () => {
  const codeOf = async (promise: Promise<unknown>): Promise<HoldfastError> =>
    promise.then(
      () => assert.fail("it should have failed"),
      (error: unknown) => error as HoldfastError,
    );
  const requestIdOf = (error: HoldfastError): string =>
    error.extras.requestId ?? assert.fail("no request id");

  async function unknownAppend(started: Awaited<ReturnType<typeof opened>>) {
    const { world, cluster, handle } = started;
    cluster.interfere = (request) => (request.write || request.cancel ? "silence" : null);
    const error = await codeOf(world.settle(handle.append(text("x"), { deadlineMs: 500 })));
    assert.equal(error.code, ErrorCode.OUTCOME_UNKNOWN);
    cluster.interfere = () => null;
    return requestIdOf(error);
  }

  it("fails for certain when a call was never sent", async () => {
    const { world, cluster, handle } = await opened();
    for (const name of ["n1", "n2", "n3"]) cluster.kill(name);
    await world.pass(50);
    const error = await codeOf(world.settle(handle.append(text("x"), { deadlineMs: 800 })));
    assert.equal(error.code, ErrorCode.DEADLINE_EXCEEDED);
    assert.equal(cluster.requests("write").length, 0);
  });

  it("gives the last reason when it was refused until the deadline", async () => {
    // A fixed seed: with some, the deadline falls into the 2 ms in which a repeat is on the wire, and the outcome is open.
    const { world, cluster, handle } = await opened({}, 1);
    cluster.interfere = (request) => (request.write ? refuse(ErrorCode.FROZEN, "being moved") : null);
    const error = await codeOf(world.settle(handle.append(text("x"), { deadlineMs: 800 })));
    assert.equal(error.code, ErrorCode.FROZEN);
  });

  it("says unknown when the answer is late, and finds out that it was done", async () => {
    const { world, cluster, session, handle } = await opened();
    cluster.link("n1").reachability = "mute";
    const error = await codeOf(world.settle(handle.append(text("x"), { deadlineMs: 500 })));
    assert.equal(error.code, ErrorCode.OUTCOME_UNKNOWN);
    const resolving = session.resolve(requestIdOf(error));
    failover(cluster, "n2", 100);
    const outcome = await world.settle(resolving);
    assert.equal(outcome.kind, "done");
    assert.equal(cluster.effects.filter((effect) => effect.startsWith("append")).length, 1);
    assert.equal(cluster.requests("write").length, 1, "asked about, not sent again");
  });

  it("finds out that it was not done, does not do it later, and the slot goes on", async () => {
    const started = await opened();
    const { world, cluster, session, handle } = started;
    const requestId = await unknownAppend(started);
    failover(cluster, "n2", 100);
    const outcome = await world.settle(session.resolve(requestId));
    assert.equal(outcome.kind, "not-done");
    for (let i = 0; i < 20; i++) await world.settle(handle.append(text("y")));
    assert.equal(Buffer.from(cluster.files.get("a") ?? []).toString(), "y".repeat(20));
  });

  it("stops asking at the asker's own deadline", async () => {
    const started = await opened();
    const requestId = await unknownAppend(started);
    const error = await codeOf(started.world.settle(started.session.resolve(requestId, { deadlineMs: 200 })));
    assert.equal(error.code, ErrorCode.OUTCOME_UNKNOWN);
  });

  it("refuses a request id that it does not know", async () => {
    const { session } = await start();
    const error = await codeOf(session.resolve("9-9-9"));
    assert.equal(error.code, ErrorCode.INVALID_ARGUMENT);
  });

  it("never sends the number of the last granted lock again, however many were refused since", async () => {
    const { world, cluster, handle } = await opened();
    await world.settle(handle.lock({ offset: 0, length: 1 }));
    const granted = cluster.requests("lock").at(-1)?.request.lock?.sequenceNumber ?? 0;
    cluster.interfere = (request) => (request.lock ? refuse(ErrorCode.DISK_FULL, "nearly full") : null);
    for (let i = 0; i < 40; i++) {
      const error = await codeOf(world.settle(handle.lock({ offset: 5, length: 1 })));
      assert.equal(error.code, ErrorCode.DISK_FULL);
      // The state takes the same number in the same bucket for a repeat, and answers that the lock is there.
      assert.notEqual(
        cluster.requests("lock").at(-1)?.request.lock?.sequenceNumber ?? 0,
        granted,
        `try ${i}`,
      );
    }
  });

  it("cancels a waiting lock at the deadline and knows that it was not granted", async () => {
    const { world, cluster, handle } = await opened();
    let waiting: number | null = null;
    cluster.interfere = (request) => {
      if (request.lock) waiting = request.id as number;
      return request.lock ? "silence" : null;
    };
    const locking = handle.lock({ offset: 0, length: 1 }, { deadlineMs: 500 });
    locking.catch(() => undefined);
    await world.until(() => cluster.requests("cancel").length === 1);
    assert.equal(cluster.requests("cancel")[0]?.request.cancel?.callId, waiting);
    for (const stream of cluster.nodes.get("n1")?.streams ?? [])
      stream.out.send({ id: waiting ?? 0, error: { code: ErrorCode.CANCELLED, message: "cancelled" } });
    const error = await codeOf(world.settle(locking));
    assert.equal(error.code, ErrorCode.DEADLINE_EXCEEDED);
  });

  it("lets an unlock through when waiting locks hold all the slots they may", async () => {
    const { world, cluster, handle } = await opened();
    await world.settle(handle.lock({ offset: 0, length: 1 }));
    cluster.interfere = (request) => (request.lock && !request.lock.elements?.[0]?.unlock ? "silence" : null);
    const waiting = Array.from({ length: 20 }, () =>
      handle.lock({ offset: 0, length: 1 }, { deadlineMs: 60_000 }),
    );
    for (const lock of waiting) lock.catch(() => undefined);
    await world.pass(100);
    assert.equal(cluster.requests("lock").length, 1 + 4, "half of eight slots");
    await world.settle(handle.unlock({ offset: 0, length: 1 }), 1_000);
    await world.settle(closeQuietly(handle, cluster));
  });

  it("gives up at the caller's signal", async () => {
    const { world, cluster, handle } = await opened();
    for (const name of ["n1", "n2", "n3"]) cluster.kill(name);
    await world.pass(50);
    const controller = new AbortController();
    const reading = handle.read(0, 1, { signal: controller.signal });
    reading.catch(() => undefined);
    await world.pass(50);
    controller.abort();
    const error = await codeOf(world.settle(reading, 10));
    assert.equal(error.code, ErrorCode.CANCELLED);
  });

  it("does not begin what its caller has cancelled already", async () => {
    const { world, cluster, handle } = await opened();
    const error = await codeOf(world.settle(handle.append(text("x"), { signal: AbortSignal.abort() })));
    assert.equal(error.code, ErrorCode.CANCELLED);
    await world.pass(100);
    assert.equal(cluster.requests("write").length, 0);
  });

  it("keeps to a deadline that is shorter than one attempt", async () => {
    const world = new World();
    const cluster = new FakeCluster(world);
    for (const name of ["n1", "n2", "n3"]) cluster.link(name).reachability = "blackhole";
    const connecting = connectOver(cluster.network, world.runtime, {
      nodes: cluster.addresses,
      deadlineMs: 400,
    });
    await codeOf(world.settle(connecting));
    assert.ok(world.nowMs < 1_100, `took ${world.nowMs} ms`);
  });

  it("gives up connecting at the deadline, and names every node with its reason", async () => {
    const world = new World();
    const cluster = new FakeCluster(world);
    cluster.kill("n1");
    cluster.link("n2").reachability = "blackhole";
    cluster.interfere = () => refuse(ErrorCode.NOT_READY, "starting");
    const connecting = connectOver(cluster.network, world.runtime, {
      nodes: cluster.addresses,
      deadlineMs: 3_000,
    });
    const error = await codeOf(world.settle(connecting));
    for (const name of ["n1", "n2", "n3"]) assert.match(error.message, new RegExp(address(name)));
    assert.match(error.message, /starting/);
  });

  async function closeQuietly(handle: { close(): Promise<unknown> }, cluster: FakeCluster): Promise<void> {
    cluster.interfere = () => null;
    await handle.close();
  }
});
