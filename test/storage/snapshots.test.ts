import assert from "node:assert/strict";
import type { v1 } from "../../src/wire/index.js";
import type { NodeStorage } from "../../src/storage/index.js";
import { stateRange } from "../../src/storage/keys.js";
import { CrashKv } from "./crash-kv.js";
import { batch, change, conf, entry, opened, settled, stateOf } from "./fixtures.js";

const META = { index: 50, term: 4, confState: conf(1, 2, 3, 4) };

/** The chunks of a state of `count` records at META, as a sender makes them. */
async function chunksOf(count: number, bytes = 200): Promise<v1.ISnapshotChunk[]> {
  const { storage } = await opened(new CrashKv());
  const entries = Array.from({ length: META.index }, (_, i) => entry(i + 1, 4));
  await settled((done) => storage.persist(batch(1, { entries }), done));
  const changes = Array.from({ length: count }, (_, i) =>
    change(`key ${String(i).padStart(4, "0")}`, `value ${i}`),
  );
  await settled((done) => storage.writeState(changes, META, done));
  const snapshot = await storage.openStateSnapshot();
  assert.deepEqual([snapshot.index, snapshot.term, snapshot.confState], [50, 4, META.confState]);
  const chunks: v1.ISnapshotChunk[] = [];
  for (let sequence = 0; ; sequence++) {
    const chunk = await snapshot.next(bytes);
    chunks.push({ ...chunk, transferId: "t1", sequence });
    if (chunk.last) break;
  }
  await snapshot.close();
  return chunks;
}

/** A member with some log and state of its own, which the snapshot replaces. */
async function receiver(kv = new CrashKv()) {
  const { storage } = await opened(kv);
  await settled((done) => storage.persist(batch(1, { entries: [1, 2, 3, 4, 5].map((i) => entry(i)) }), done));
  await settled((done) =>
    storage.writeState(
      [change("old", "x"), change("key 0001", "old")],
      { index: 3, term: 1, confState: conf(1, 2, 3) },
      done,
    ),
  );
  return { kv, storage };
}

async function receive(storage: NodeStorage, chunks: readonly v1.ISnapshotChunk[]) {
  const sink = await storage.receiveSnapshot("t1", META);
  for (const chunk of chunks) await sink.chunk(chunk);
  return sink;
}

function install(storage: NodeStorage, seq: number): Promise<void> {
  return settled((done) =>
    storage.persist(batch(seq, { hardState: { term: 4, vote: 0, commit: 50 }, snapshot: META }), done),
  );
}

function expected(count: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`key ${String(i).padStart(4, "0")}`, `value ${i}`]),
  );
}

describe("snapshots", () => {
  for (const count of [0, 1, 8, 100])
    it(`carry a state of ${count} records from one disk to another`, async () => {
      const chunks = await chunksOf(count);
      const { storage, kv } = await receiver();
      const sink = await receive(storage, chunks);
      assert.equal(sink.complete, true);
      assert.deepEqual(await stateOf(storage), { old: "x", "key 0001": "old" }, "not before it is installed");
      await install(storage, 2);
      assert.deepEqual(await stateOf(storage), expected(count));
      await settled((done) => storage.persist(batch(3, { entries: [entry(51, 4)] }), done));
      await storage.idle();
      const { durable, storage: again } = await opened(new CrashKv(kv.batches));
      assert.equal(durable.snapshotIndex, 50);
      assert.equal(durable.snapshotTerm, 4);
      assert.equal(durable.appliedIndex, 50);
      assert.deepEqual(durable.confState, META.confState);
      assert.deepEqual(
        durable.entries.map((e) => e.index),
        [51],
      );
      assert.deepEqual(await stateOf(again), expected(count));
      await again.idle();
      const old = stateRange(1).from.toString("hex");
      assert.equal(kv.keys().filter((key) => key.startsWith(old)).length, 0, "the old generation is gone");
    });

  it("show the state of one moment, whatever is applied meanwhile", async () => {
    const { storage } = await receiver();
    const snapshot = await storage.openStateSnapshot();
    await settled((done) =>
      storage.writeState(
        [change("old", null), change("new", "y")],
        { index: 4, term: 1, confState: conf(1) },
        done,
      ),
    );
    assert.equal(snapshot.index, 3);
    const { records, last } = await snapshot.next(1e6);
    assert.equal(last, true);
    assert.deepEqual(
      records.map((r) => Buffer.from(r.key ?? []).toString()),
      ["key 0001", "old"],
    );
    await snapshot.close();
  });

  it("are either wholly in use or not at all, wherever a crash falls, and go on where they stood", async () => {
    const chunks = await chunksOf(30);
    const { storage, kv } = await receiver();
    const before = kv.batches.length;
    await receive(storage, chunks);
    const received = kv.batches.length;
    await install(storage, 2);
    const installed = kv.durable;
    await storage.idle();
    for (let cut = before; cut <= kv.batches.length; cut++) {
      const crashed = kv.after(cut);
      const { storage: again, durable } = await opened(crashed);
      if (cut < installed) {
        assert.equal(durable.appliedIndex, 3);
        assert.deepEqual(await stateOf(again), { old: "x", "key 0001": "old" });
        const sink = await again.receiveSnapshot("t1", META);
        const stored = Math.max(0, Math.min(cut, received) - before - 1);
        assert.equal(sink.nextSequence, stored, `resumes at the first chunk that is not stored, cut ${cut}`);
        for (const chunk of chunks) await sink.chunk(chunk);
        await install(again, 1);
      }
      assert.deepEqual(await stateOf(again), expected(30), `cut ${cut}`);
      await again.idle();
      assert.deepEqual(leftGenerations(crashed), [2], `cut ${cut}: only the generation in use is left`);
    }
  });

  it("of another transfer take the place of an unfinished one, whose records are swept away", async () => {
    const chunks = await chunksOf(30);
    const { storage, kv } = await receiver();
    const sink = await storage.receiveSnapshot("t0", { ...META, index: 40 });
    await sink.chunk({ ...(chunks[0] as v1.ISnapshotChunk), transferId: "t0" });
    const other = await receive(storage, chunks);
    assert.notEqual(other.generation, sink.generation);
    await storage.idle();
    await install(storage, 2);
    await storage.idle();
    assert.deepEqual(leftGenerations(kv), [other.generation]);
    assert.deepEqual(await stateOf(storage), expected(30));
  });

  it("that were received but are not wanted any more are dropped", async () => {
    const { storage, kv } = await receiver();
    await receive(storage, await chunksOf(30));
    await storage.discardReceived();
    await storage.idle();
    assert.deepEqual(leftGenerations(kv), [1]);
    await assert.rejects(async () => install(storage, 2), /accepted before it was received/);
  });

  it("refuse chunks that are damaged, out of order, miscounted or of another transfer", async () => {
    const chunks = await chunksOf(30);
    const { storage } = await receiver();
    const sink = await storage.receiveSnapshot("t1", META);
    const [first, second] = chunks as [v1.ISnapshotChunk, v1.ISnapshotChunk];
    await assert.rejects(sink.chunk({ ...first, crc32: (first.crc32 ?? 0) ^ 1 }), /checksum/);
    await assert.rejects(sink.chunk(second), /chunk 1 came where 0 was due/);
    await assert.rejects(sink.chunk({ ...first, transferId: "other" }), /transfer "other"/);
    await sink.chunk(first);
    await sink.chunk(first);
    assert.equal(sink.nextSequence, 1, "a repeated chunk is passed over");
    await assert.rejects(sink.chunk({ ...second, last: true, totalRecords: 999 }), /999 records/);
    assert.equal(sink.complete, false);
  });
});

function leftGenerations(kv: CrashKv): number[] {
  const keys = kv.keys().filter((key) => key.startsWith("20") || key.startsWith("30"));
  return [...new Set(keys.map((key) => Number.parseInt(key.slice(2, 10), 16)))].sort((a, b) => a - b);
}
