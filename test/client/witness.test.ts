import assert from "node:assert/strict";
import { connectOver } from "../../src/client/index.js";
import { ErrorCode } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";
import { address, FakeCluster } from "./fake-cluster.js";
import type { ServerStream } from "./fake-network.js";
import { SEED, World } from "./world.js";

/** A witness at one node: keeps its streams, sends progress, says what the test wants. */
class FakeWitness {
  readonly requests: v1.IWitnessRequest[] = [];
  readonly streams = new Set<ServerStream<v1.IWitnessNotice>>();
  refusing = false;
  constructor(readonly world: World) {}

  accept(stream: ServerStream<v1.IWitnessNotice>) {
    return {
      onMessage: (request: v1.IWitnessRequest) => {
        this.requests.push(request);
        if (this.refusing)
          return stream.send({ error: { code: ErrorCode.PRECONDITION_FAILED, message: "is the owner" } });
        this.streams.add(stream);
        this.#beat(stream);
      },
      onClosed: () => this.streams.delete(stream),
    };
  }

  tell(notice: v1.IWitnessNotice): void {
    for (const stream of this.streams) stream.send(notice);
  }

  #beat(stream: ServerStream<v1.IWitnessNotice>): void {
    if (!this.streams.has(stream)) return;
    stream.send({ revision: 42, progress: true });
    this.world.after(500, () => this.#beat(stream));
  }
}

async function start() {
  const world = new World();
  const cluster = new FakeCluster(world);
  const witnesses = new Map<string, FakeWitness>();
  for (const name of ["n1", "n2", "n3"]) {
    const witness = new FakeWitness(world);
    witnesses.set(name, witness);
    cluster.link(name).witness = witness;
  }
  const session = await world.settle(connectOver(cluster.network, world.runtime, { nodes: [address("n1")] }));
  const at = () => [...witnesses].find(([, witness]) => witness.streams.size > 0)?.[0] ?? "";
  await world.until(() => at() !== "");
  const witness = (name: string) => witnesses.get(name) ?? assert.fail();
  return { world, cluster, session, at, witness };
}

describe(`client: witness (SEED=${SEED})`, () => {
  it("registers with a node that is not the owner", async () => {
    const { at, witness, session } = await start();
    assert.notEqual(at(), "n1");
    const [request] = witness(at()).requests;
    assert.equal(request?.sessionId, session.id);
    assert.equal(request?.clientGuid?.length, 16);
  });

  it("leaves a stopped owner as soon as the witness reports it, long before its own limit", async () => {
    const { world, cluster, session, at, witness } = await start();
    cluster.link("n1").reachability = "blackhole";
    const to = at() === "n2" ? "n3" : "n2";
    cluster.giveTo(to);
    const toldAtMs = world.nowMs;
    witness(at()).tell({
      revision: 43,
      changes: [{ node: { node: "n1", grpcAddress: address("n1") }, available: false, reason: "down" }],
      move: { sessionId: session.id, to: { node: to, grpcAddress: address(to) }, epoch: 2 },
    });
    await world.until(() => session.owner === to && session.state === "ready");
    assert.ok(world.nowMs - toldAtMs < 50, `took ${world.nowMs - toldAtMs} ms`);
  });

  it("comes along at a planned move without waiting for an error", async () => {
    const { world, cluster, session, at, witness } = await start();
    const handle = await world.settle(session.open("demo:/a", { disposition: "open-if" }));
    const to = at() === "n2" ? "n3" : "n2";
    cluster.giveTo(to);
    witness(at()).tell({
      move: { sessionId: session.id, to: { grpcAddress: address(to) }, epoch: 2, planned: true },
    });
    await world.until(() => session.owner === to);
    await world.settle(handle.append(Buffer.from("x")));
    assert.equal(cluster.requests("write").length, 1);
  });

  it("does not follow a move that it has made already", async () => {
    const { world, cluster, session, at, witness } = await start();
    let moved = 0;
    session.on("disconnected", () => (moved += 1));
    witness(at()).tell({
      move: { sessionId: session.id, to: { grpcAddress: address("n2") }, epoch: cluster.epoch },
    });
    await world.pass(1_000);
    assert.equal(moved, 0);
    assert.equal(session.owner, "n1");
  });

  it("registers anew elsewhere, from the revision it has seen, when the witness dies or falls silent", async () => {
    for (const how of ["dies", "silent"] as const) {
      const { world, cluster, at, witness } = await start();
      await world.pass(1_000);
      const first = at();
      if (how === "dies") cluster.kill(first);
      else cluster.link(first).reachability = "blackhole";
      witness(first).streams.clear();
      await world.until(() => at() !== "", 10_000);
      assert.notEqual(at(), first);
      assert.equal(witness(at()).requests[0]?.resumeRevision, 42);
    }
  });

  it("asks another node when one refuses because it is the owner", async () => {
    const { world, cluster, at, witness } = await start();
    const first = at();
    const other = first === "n2" ? "n3" : "n2";
    witness(first).refusing = true;
    cluster.network.cut(address(first));
    await world.until(() => at() === other, 10_000);
  });

  it("ends with the session", async () => {
    const { world, session, at } = await start();
    await world.settle(session.close());
    await world.pass(10);
    assert.equal(at(), "");
  });
});
