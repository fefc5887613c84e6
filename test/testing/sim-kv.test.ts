import assert from "node:assert/strict";
import { SimDisk } from "../../src/testing/sim/sim-kv.js";
import { Simulation } from "../../src/testing/sim/simulation.js";
import { kvStoreConformance } from "../../src/storage/conformance.js";

/** Virtual time that runs by itself while a test waits for promises. */
function drive(sim: Simulation): () => void {
  let over = false;
  const turn = (): void => {
    if (over) return;
    sim.step(Number.MAX_SAFE_INTEGER);
    setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    over = true;
  };
}

kvStoreConformance({ describe, it }, "SimKv", () => {
  const sim = new Simulation(1);
  const disk = new SimDisk(sim, sim.seeds.stream("disk"));
  const stop = drive(sim);
  let store = disk.store();
  const open = () => {
    store = disk.store();
    return store;
  };
  return Promise.resolve({
    store,
    reopen: async () => {
      await store.close();
      return open();
    },
    crash: () => {
      disk.crash(true);
      return Promise.resolve(open());
    },
    failNextWrite: () => store.failNextWrite(),
    dispose: () => {
      stop();
      return Promise.resolve();
    },
  });
});

describe("SimDisk", () => {
  const put = (key: string) => [{ type: "put" as const, key: Buffer.from(key), value: Buffer.from("v") }];

  it("loses unsynced batches from some batch on at a power cut, never from the middle", async () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 60; seed++) {
      const sim = new Simulation(seed);
      const disk = new SimDisk(sim, sim.seeds.stream("disk"));
      const store = disk.store();
      store.write(put("0"), { sync: true }, () => undefined);
      for (let i = 1; i < 6; i++) store.write(put(String(i)), { sync: false }, () => undefined);
      sim.runUntil(1_000_000);
      disk.crash(true);
      const kept = (await disk.store().iterate(Buffer.from("0"), Buffer.from("9")).next(100, 1e6)).map(
        ([key]) => Buffer.from(key).toString(),
      );
      assert.deepEqual(kept, ["0", "1", "2", "3", "4", "5"].slice(0, kept.length));
      assert.ok(kept.length >= 1, "what was synced is never lost");
      lengths.add(kept.length);
    }
    assert.deepEqual(
      [...lengths].sort((x, y) => x - y),
      [1, 2, 3, 4, 5, 6],
    );
  });

  it("keeps everything that was answered when only the process is killed", async () => {
    const sim = new Simulation(5);
    const disk = new SimDisk(sim, sim.seeds.stream("disk"));
    const store = disk.store();
    store.write(put("a"), { sync: false }, () => undefined);
    sim.runUntil(1_000_000);
    disk.crash(false);
    assert.notEqual(await disk.store().get(Buffer.from("a")), null);
  });

  it("answers a rotten block with an error until it is written again", async () => {
    const sim = new Simulation(6);
    const disk = new SimDisk(sim, sim.seeds.stream("disk"));
    const store = disk.store();
    store.write(put("a"), { sync: true }, () => undefined);
    sim.runUntil(1_000_000);
    assert.equal(disk.rot(), true);
    await assert.rejects(store.get(Buffer.from("a")), /Corruption/);
    await assert.rejects(store.iterate(Buffer.from("a"), Buffer.from("b")).next(10, 10), /Corruption/);
    store.write(put("a"), { sync: true }, () => undefined);
    sim.runUntil(2_000_000);
    assert.notEqual(await store.get(Buffer.from("a")), null);
  });
});
