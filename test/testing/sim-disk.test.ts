import assert from "node:assert/strict";
import type { KvStore } from "../../src/runtime/api.js";
import { setStorageMutant } from "../../src/storage/mutants.js";
import { SimDisk } from "../../src/testing/sim/sim-disk.js";
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

kvStoreConformance({ describe, it }, "EngineStore on SimDisk", () => {
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
    failNextWrite: () => disk.failNextWrite(),
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

  it("flips a bit of a record that lies in a table, until it is written again", async () => {
    const sim = new Simulation(6);
    const disk = new SimDisk(sim, sim.seeds.stream("disk"));
    const first = disk.store();
    first.write(put("a"), { sync: true }, () => undefined);
    sim.runUntil(1_000_000);
    assert.equal(
      disk.flipBit((keys) => keys[0] as string),
      null,
      "what is in the log alone is not in a table",
    );
    const store = disk.store();
    assert.equal(
      disk.flipBit((keys) => keys[0] as string),
      Buffer.from("a").toString("hex"),
    );
    assert.equal(disk.damaged, true);
    const found = await store.get(Buffer.from("a"));
    assert.ok(found !== null && found[0] !== "v".charCodeAt(0));
    store.write(put("a"), { sync: true }, () => undefined);
    sim.runUntil(2_000_000);
    assert.deepEqual(await store.get(Buffer.from("a")), Buffer.from("v"));
    assert.equal(disk.damaged, false);
  });

  it("refuses a log that is damaged before its last acknowledged sync, at every start from then on", () => {
    for (let seed = 0; seed < 20; seed++) {
      const sim = new Simulation(seed);
      const disk = new SimDisk(sim, sim.seeds.stream("disk"));
      const store = disk.store();
      for (let i = 0; i < 6; i++) store.write(put(String(i)), { sync: i % 2 === 0 }, () => undefined);
      sim.runUntil(1_000_000);
      disk.crash(false);
      assert.equal(disk.rotLog(), true);
      assert.throws(() => disk.store(), /lost acknowledged writes/);
      assert.throws(() => disk.store(), /lost acknowledged writes/);
      disk.wipe();
      disk.store();
    }
  });

  it("cuts a batch that a power cut has left in part", async () => {
    let torn = 0;
    for (let seed = 0; seed < 40; seed++) {
      const sim = new Simulation(seed);
      const disk = new SimDisk(sim, sim.seeds.stream("disk"));
      disk.faults = { ...disk.faults, tornWriteRate: 1 };
      const store = disk.store();
      for (let i = 0; i < 6; i++) store.write(put(String(i)), { sync: i === 0 }, () => undefined);
      sim.runUntil(1_000_000);
      disk.crash(true);
      const again = disk.store();
      torn += sim.tally.situations.get("torn tail cut at start") ?? 0;
      assert.deepEqual(await again.get(Buffer.from("0")), Buffer.from("v"));
    }
    assert.ok(torn > 10, `${torn} of 40`);
  });
});

describe("a simulated disk that becomes full at once", () => {
  const value = Buffer.alloc(10_000, 7);

  function world(seed: number, makeRoom: ((disk: SimDisk) => void) | null) {
    const sim = new Simulation(seed);
    const disk = new SimDisk(sim, sim.seeds.stream("disk"));
    const room = makeRoom === null ? null : () => Promise.resolve(makeRoom(disk)).then(() => true);
    return { sim, disk, store: disk.store({ makeRoom: room }) };
  }

  async function writeAll(sim: Simulation, store: KvStore): Promise<(Error | null)[]> {
    const results: (Error | null)[] = [];
    for (let i = 0; i < 10; i++)
      store.write([{ type: "put", key: Buffer.from(`k${i}`), value }], { sync: i % 2 === 0 }, (error) =>
        results.push(error),
      );
    await sim.runAsyncUntil(sim.nowUs + 60_000_000, () => results.length === 10);
    return results;
  }

  it("goes on with the same batch once there is room, or ends when a sync has failed", async () => {
    let ended = 0;
    let pauses = 0;
    for (let seed = 0; seed < 40; seed++) {
      let asked = 0;
      const { sim, disk, store } = world(seed, (full) => {
        if (++asked === 3) full.space.empty();
      });
      disk.space.fill(35_000);
      const results = await writeAll(sim, store);
      if (results.some((error) => error !== null)) {
        assert.equal(sim.tally.faults.get("sync without space"), 1);
        ended++;
        continue;
      }
      assert.equal(asked, 3, "asked again and again until there was room");
      if (sim.nowUs >= 500_000) pauses++;
      for (let i = 0; i < 10; i++) assert.deepEqual(await store.get(Buffer.from(`k${i}`)), value);
      disk.crash(true);
      const again = disk.store();
      for (let i = 0; i < 9; i++) assert.deepEqual(await again.get(Buffer.from(`k${i}`)), value, `k${i}`);
    }
    assert.ok(ended > 0 && ended < 20, `${ended} of 40 ended`);
    // A batch that was whole on the disk already needs no second attempt.
    assert.ok(pauses > 10, `${pauses} of 40 waited between two attempts of one batch`);
  });

  it("ends with the first such write where nobody can make room", async () => {
    const { sim, disk, store } = world(1, null);
    disk.space.fill(35_000);
    const results = await writeAll(sim, store);
    assert.deepEqual(results.slice(0, 3), [null, null, null]);
    for (const error of results.slice(3)) assert.match(String(error), /disk is full|fdatasync/);
  });

  it("notices when a batch is acknowledged and was never written", async () => {
    let noticed = 0;
    setStorageMutant("fullBatchForgotten", true);
    try {
      for (let seed = 0; seed < 20; seed++) {
        const { sim, disk, store } = world(seed, (full) => full.space.empty());
        disk.space.fill(35_000);
        await writeAll(sim, store);
        for (let i = 0; i < 10; i++) if ((await store.get(Buffer.from(`k${i}`))) === null) noticed++;
      }
    } finally {
      setStorageMutant("fullBatchForgotten", false);
    }
    assert.ok(noticed > 5, `${noticed} batches missing`);
  });
});
