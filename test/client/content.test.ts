import assert from "node:assert/strict";
import { connectOver } from "../../src/client/index.js";
import { address, FakeCluster } from "./fake-cluster.js";
import { SEED, World } from "./world.js";

describe(`client: whole files (SEED=${SEED})`, () => {
  async function start() {
    const world = new World();
    const cluster = new FakeCluster(world);
    const session = await world.settle(
      connectOver(cluster.network, world.runtime, { nodes: [address("n1")], witness: false }),
    );
    const read = async (file: string) => {
      const parts: Uint8Array[] = [];
      for await (const piece of session.readFile(file)) parts.push(piece);
      return Buffer.concat(parts);
    };
    return { world, cluster, session, read };
  }

  /** The fake's chunk is 1024 bytes: sizes around its edges. */
  for (const size of [0, 1, 1_023, 1_024, 1_025, 10 * 1_024, 50_001])
    it(`writes and reads ${size} bytes`, async () => {
      const { world, cluster, session, read } = await start();
      const data = Buffer.from(world.runtime.random.bytes(size));
      assert.equal(await world.settle(session.writeFile("demo:/f", data)), size);
      assert.deepEqual(Buffer.from(cluster.files.get("f") ?? []), data);
      assert.deepEqual(await world.settle(read("demo:/f")), data);
    });

  it("puts pieces of any size together, and tells progress", async () => {
    const { world, cluster, session } = await start();
    const pieces = Array.from({ length: 50 }, (_, i) => Buffer.alloc(i * 37, i));
    const progress: number[] = [];
    await world.settle(session.writeFile("demo:/f", pieces, { onProgress: (bytes) => progress.push(bytes) }));
    const whole = Buffer.concat(pieces);
    assert.deepEqual(Buffer.from(cluster.files.get("f") ?? []), whole);
    assert.equal(progress.at(-1), whole.length);
    assert.deepEqual(
      progress,
      progress.toSorted((a, b) => a - b),
    );
  });

  it("finishes a put and a get through the death of the owner", async () => {
    const { world, cluster, session, read } = await start();
    const data = Buffer.from(world.runtime.random.bytes(300_000));
    cluster.link("n1").delayMs = 5;
    world.after(40, () => {
      cluster.kill("n1");
      world.after(900, () => cluster.giveTo("n2"));
    });
    await world.settle(session.writeFile("demo:/f", data));
    assert.equal(session.owner, "n2");
    cluster.link("n1").reachability = "up";
    cluster.link("n2").delayMs = 5;
    world.after(40, () => {
      cluster.kill("n2");
      world.after(900, () => cluster.giveTo("n3"));
    });
    assert.deepEqual(await world.settle(read("demo:/f")), data);
    assert.equal(session.owner, "n3");
  });

  it("closes its handle when the reader stops early", async () => {
    const { world, cluster, session } = await start();
    await world.settle(session.writeFile("demo:/f", Buffer.alloc(100_000, 1)));
    const firstOnly = async () => {
      for await (const piece of session.readFile("demo:/f")) return piece.length;
      return 0;
    };
    assert.equal(await world.settle(firstOnly()), 1_024);
    assert.equal(cluster.effects.filter((effect) => effect === "close f").length, 2);
  });

  it("gives the source's own error, and closes the handle", async () => {
    const { world, cluster, session } = await start();
    const source = async function* () {
      yield Buffer.alloc(2_000);
      throw new Error("the source broke");
    };
    await assert.rejects(world.settle(session.writeFile("demo:/f", source())), /the source broke/);
    assert.ok(cluster.effects.includes("close f"));
  });
});
