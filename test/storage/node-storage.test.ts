import assert from "node:assert/strict";
import { HoldfastError } from "../../src/wire/errors.js";
import { NodeStorage } from "../../src/storage/index.js";
import { appliedKey, logKey, metaKey, stateKey } from "../../src/storage/keys.js";
import { CrashKv } from "./crash-kv.js";
import { WHO, batch, change, conf, entry, opened, settled, stateOf, world } from "./fixtures.js";

function storageFailed(words: RegExp) {
  return (error: unknown) => {
    assert(error instanceof HoldfastError, String(error));
    assert.equal(error.codeName, "STORAGE_FAILED");
    assert.match(error.message, words);
    return true;
  };
}

describe("NodeStorage", () => {
  it("finds after a restart what was persisted", async () => {
    const kv = new CrashKv();
    const { storage } = await opened(kv);
    const hardState = { term: 3, vote: 2, commit: 1 };
    await settled((done) =>
      storage.persist(batch(1, { hardState, entries: [entry(1), entry(2, 3), entry(3, 3)] }), done),
    );
    await settled((done) =>
      storage.writeState([change("a", "1")], { index: 2, term: 3, confState: conf(1, 2) }, done),
    );
    const { storage: again, durable } = await opened(new CrashKv(kv.batches));
    assert.deepEqual(durable.hardState, hardState);
    assert.deepEqual(
      durable.entries.map((e) => [e.term, e.index, Buffer.from(e.data).toString()]),
      [
        [1, 1, "entry 1 of term 1"],
        [3, 2, "entry 2 of term 3"],
        [3, 3, "entry 3 of term 3"],
      ],
    );
    assert.equal(durable.appliedIndex, 2);
    assert.deepEqual(durable.confState, conf(1, 2));
    assert.equal(again.applied.term, 3);
    assert.deepEqual(await stateOf(again), { a: "1" });
  });

  it("replaces the stale suffix in the batch that appends", async () => {
    const kv = new CrashKv();
    const { storage } = await opened(kv);
    await settled((done) =>
      storage.persist(batch(1, { entries: [1, 2, 3, 4, 5].map((i) => entry(i)) }), done),
    );
    const before = kv.batches.length;
    await settled((done) => storage.persist(batch(2, { entries: [entry(2, 2), entry(3, 2)] }), done));
    assert.equal(kv.batches.length, before + 1);
    const { durable } = await opened(new CrashKv(kv.batches));
    assert.deepEqual(
      durable.entries.map((e) => [e.index, e.term]),
      [
        [1, 1],
        [2, 2],
        [3, 2],
      ],
    );
  });

  it("merges what comes while a batch is under way, and acknowledges in order", async () => {
    const kv = new CrashKv();
    const { storage } = await opened(kv);
    const before = kv.batches.length;
    const order: number[] = [];
    const waits = [];
    for (let seq = 1; seq <= 10; seq++)
      waits.push(
        settled((done) =>
          storage.persist(batch(seq, { entries: [entry(seq)] }), (error) => {
            order.push(seq);
            done(error);
          }),
        ),
      );
    await Promise.all(waits);
    assert.deepEqual(order, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.equal(kv.batches.length - before, 2, "one under way, one for all that came meanwhile");
  });

  it("writes a commit hint without a sync, and state records never with one", async () => {
    const kv = new CrashKv();
    const { storage } = await opened(kv);
    await settled((done) => storage.persist(batch(1, { entries: [entry(1)] }), done));
    const durable = kv.durable;
    await settled((done) =>
      storage.persist(batch(2, { hardState: { term: 1, vote: 0, commit: 1 }, mustSync: false }), done),
    );
    await settled((done) =>
      storage.writeState([change("a", "1")], { index: 1, term: 1, confState: conf(1) }, done),
    );
    assert.equal(kv.durable, durable);
  });

  it("fails everything after the first failed write, and tells once", async () => {
    const kv = new CrashKv();
    const { storage } = await opened(kv);
    let told = 0;
    storage.onFailure(() => told++);
    kv.failAt = kv.batches.length;
    const results = await Promise.allSettled([
      settled((done) => storage.persist(batch(1, { entries: [entry(1)] }), done)),
      settled((done) => storage.persist(batch(2, { entries: [entry(2)] }), done)),
    ]);
    assert.deepEqual(
      results.map((r) => r.status),
      ["rejected", "rejected"],
    );
    kv.failAt = Number.POSITIVE_INFINITY;
    await assert.rejects(settled((done) => storage.persist(batch(3, { entries: [entry(3)] }), done)));
    assert.equal(told, 1);
    assert.match(storage.failure?.message ?? "", /planted/);
  });

  it("compacts: boundary first, entries later, and a restart begins after the boundary", async () => {
    const kv = new CrashKv();
    const { storage } = await opened(kv);
    const entries = Array.from({ length: 2000 }, (_, i) => entry(i + 1));
    await settled((done) => storage.persist(batch(1, { entries }), done));
    await settled((done) => storage.writeState([], { index: 1500, term: 1, confState: conf(1) }, done));
    const before = kv.batches.length;
    storage.compactLog(1400, 1);
    await storage.idle();
    assert(
      kv.batches.slice(before).every((b) => !b.sync),
      "nothing waits for the disk",
    );
    assert(
      kv.batches.slice(before).every((b) => b.ops.length <= 512),
      "in slices",
    );
    for (let cut = before; cut <= kv.batches.length; cut++) {
      const { durable, storage: again } = await opened(kv.after(cut));
      const first = cut === before ? 1 : 1401;
      assert.equal(durable.snapshotIndex, first - 1);
      assert.equal(durable.entries[0]?.index, first);
      assert.equal(durable.entries.at(-1)?.index, 2000);
      await again.idle();
    }
    const logKeys = kv.keys().filter((key) => key.startsWith("20"));
    assert.equal(logKeys.length, 600);
  });

  it("sweeps at the next start what an interrupted compaction left", async () => {
    const kv = new CrashKv();
    const { storage } = await opened(kv);
    await settled((done) => storage.persist(batch(1, { entries: [1, 2, 3, 4].map((i) => entry(i)) }), done));
    await settled((done) => storage.writeState([], { index: 3, term: 1, confState: conf(1) }, done));
    const before = kv.batches.length;
    storage.compactLog(3, 1);
    await storage.idle();
    const crashed = kv.after(before + 1);
    assert.equal(crashed.keys().filter((key) => key.startsWith("20")).length, 4);
    const { storage: again } = await opened(crashed);
    await again.idle();
    assert.equal(crashed.keys().filter((key) => key.startsWith("20")).length, 1);
  });

  it("tells how long a sync has been under way", async () => {
    const kv = new CrashKv();
    let now = 1000;
    const storage = await NodeStorage.open(kv, {
      ...world(),
      clock: { monotonicMs: () => now, wallMs: () => 0 },
    });
    await storage.initialise(WHO, conf(1));
    await storage.loadDurable();
    assert.equal(storage.oldestPendingSyncMs(), 0);
    kv.hang = true;
    const write = settled((done) => storage.persist(batch(1, { entries: [entry(1)] }), done));
    now += 750;
    assert.equal(storage.oldestPendingSyncMs(), 750);
    kv.release();
    await write;
    assert.equal(storage.oldestPendingSyncMs(), 0);
    assert.equal(storage.fsyncP99Ms(), 750);
  });

  describe("identity", () => {
    it("refuses a disk of another cluster or another node, saying which and what to do", async () => {
      const { storage } = await opened(new CrashKv());
      storage.checkIdentity(WHO);
      const check = (expected: Partial<typeof WHO>) => () => storage.checkIdentity({ ...WHO, ...expected });
      assert.throws(check({ clusterId: "c2" }), (error: HoldfastError) => {
        assert.equal(error.codeName, "WRONG_CLUSTER");
        assert.match(error.message, /c1.*c2/);
        assert(error.extras.next);
        return true;
      });
      assert.throws(check({ name: "n2" }), /belongs to node n1.*says n2/);
      assert.throws(check({ raftId: 7 }), /member 1.*member 7/);
    });

    it("refuses data without an identity", async () => {
      const kv = new CrashKv();
      const { storage } = await opened(kv);
      await settled((done) => storage.persist(batch(1, { entries: [entry(1)] }), done));
      kv.lose(metaKey("identity"));
      await assert.rejects(NodeStorage.open(kv, world()), storageFailed(/no identity/));
    });

    it("counts the incarnations of the file node, each durable", async () => {
      const kv = new CrashKv();
      const { storage } = await opened(kv);
      assert.equal(await storage.nextFileNodeIncarnation(), 1);
      assert.equal(await storage.nextFileNodeIncarnation(), 2);
      const { storage: again } = await opened(kv.after(kv.durable));
      assert.equal(await again.nextFileNodeIncarnation(), 3);
    });

    it("shares nothing with another storage in the same process", async () => {
      const [{ storage: one }, { storage: other }] = [
        await opened(new CrashKv()),
        await opened(new CrashKv()),
      ];
      assert.equal(one.admitPeer({ raftId: 2, incarnation: 1, diskId: "aa" }), null);
      assert.equal(other.admitPeer({ raftId: 2, incarnation: 1, diskId: "bb" }), null);
    });

    it("knows the disks of its peers again: a wiped one and an older incarnation are refused", async () => {
      const kv = new CrashKv();
      const { storage } = await opened(kv);
      assert.equal(storage.admitPeer({ raftId: 2, incarnation: 1, diskId: "aa" }), null);
      assert.equal(storage.admitPeer({ raftId: 3, incarnation: 2, diskId: "bb" }), null);
      await settled((done) => storage.persist(batch(1, {}), done));
      const { storage: again } = await opened(kv.after(kv.durable));
      assert.equal(again.admitPeer({ raftId: 2, incarnation: 1, diskId: "aa" }), null);
      assert.match(again.admitPeer({ raftId: 2, incarnation: 1, diskId: "zz" }) ?? "", /wiped or replaced/);
      assert.match(
        again.admitPeer({ raftId: 3, incarnation: 1, diskId: "bb" }) ?? "",
        /incarnation 2 has taken/,
      );
      assert.equal(again.admitPeer({ raftId: 2, incarnation: 2, diskId: "zz" }), null);
    });
  });

  describe("a damaged disk", () => {
    async function filled() {
      const kv = new CrashKv();
      const { storage } = await opened(kv);
      await settled((done) =>
        storage.persist(
          batch(1, { hardState: { term: 1, vote: 1, commit: 2 }, entries: [1, 2, 3].map((i) => entry(i)) }),
          done,
        ),
      );
      await settled((done) =>
        storage.writeState(
          [change("a", "1"), change("b", "2")],
          { index: 2, term: 1, confState: conf(1) },
          done,
        ),
      );
      return kv;
    }

    for (const [what, key] of [
      ["a log entry in the middle", logKey(1, 2)],
      ["the last log entry", logKey(1, 3)],
      ["the hard state", metaKey("hardState")],
      ["the identity", metaKey("identity")],
      ["the layout", metaKey("layout")],
      ["the applied position", appliedKey(1)],
    ] as const)
      for (const byte of [0, 6])
        it(`is refused: ${what}, bit of byte ${byte}`, async () => {
          const kv = await filled();
          kv.rot(key, byte);
          await assert.rejects(opened(kv), storageFailed(new RegExp(key.toString("hex"))));
        });

    it("is refused: a log entry is missing", async () => {
      const kv = await filled();
      kv.lose(logKey(1, 2));
      await assert.rejects(opened(kv), storageFailed(/missing, 3 follows/));
    });

    it("is refused: the log ends before what is applied", async () => {
      const kv = await filled();
      kv.lose(logKey(1, 3));
      kv.lose(logKey(1, 2));
      await assert.rejects(opened(kv), storageFailed(/log ends at 1.*applied 2/));
    });

    it("is refused: an entry that lies under another's key", async () => {
      const kv = await filled();
      const other = await kv.get(logKey(1, 2));
      assert(other);
      const moved = new CrashKv([
        ...kv.batches,
        { ops: [{ type: "put", key: logKey(1, 3), value: other }], sync: true },
      ]);
      await assert.rejects(opened(moved), storageFailed(/checksum/));
    });

    it("is refused: a state record", async () => {
      const kv = await filled();
      kv.rot(stateKey(1, Buffer.from("b")), 4);
      const { storage } = await opened(kv);
      await assert.rejects(stateOf(storage), storageFailed(/checksum/));
    });
  });
});
