import assert from "node:assert/strict";
import type { KvIterator, KvStore, WriteOp } from "../runtime/api.js";

/** The hooks of the test runner; those of mocha fit. */
export interface ConformanceHooks {
  readonly describe: (title: string, body: () => void) => void;
  readonly it: (title: string, body: () => Promise<void>) => void;
}

/** One store to be judged, on a disk of its own. */
export interface ConformanceSubject {
  readonly store: KvStore;
  /** Closes in good order and opens the same disk again. */
  readonly reopen: () => Promise<KvStore>;
  /** Ends without closing, as a killed process does, and opens the same disk again. Unsynced writes may be lost. */
  readonly crash?: () => Promise<KvStore>;
  /** Makes the next write fail as an I/O error would. */
  readonly failNextWrite?: () => void;
  /** Ends it and removes the disk. */
  readonly dispose: () => Promise<void>;
}

/**
 * What every KvStore has to do for the storage above it to be right. `open` gives a fresh, empty subject each time.
 * Subjects without `crash` or `failNextWrite` are not judged on those points.
 */
export function kvStoreConformance(
  hooks: ConformanceHooks,
  name: string,
  open: () => Promise<ConformanceSubject>,
): void {
  const test = (title: string, body: (subject: ConformanceSubject) => Promise<void>) =>
    hooks.it(title, async () => {
      const subject = await open();
      try {
        await body(subject);
      } finally {
        await subject.dispose();
      }
    });
  hooks.describe(`${name} as a KvStore`, () => {
    readingAndWriting(test);
    ordering(test);
    durability(test);
    failing(test);
  });
}

type Test = (title: string, body: (subject: ConformanceSubject) => Promise<void>) => void;

function readingAndWriting(test: Test): void {
  test("gives back what was put, and null for what was not", async ({ store }) => {
    await write(store, [put("a", "1"), put("b", "")]);
    assert.equal(await read(store, "a"), "1");
    assert.equal(await read(store, "b"), "", "an empty value is a value");
    assert.equal(await read(store, "c"), null);
  });

  test("applies the operations of a batch in their order", async ({ store }) => {
    await write(store, [put("a", "1"), del("a"), put("b", "1"), put("b", "2"), del("c"), put("c", "3")]);
    assert.deepEqual(await all(store), ["b=2", "c=3"]);
  });

  test("takes bytes that are no Buffer and a view of a larger array", async ({ store }) => {
    const backing = new Uint8Array([9, 9, 65, 66, 9]);
    const key = backing.subarray(2, 4);
    await promise((done) => store.write([{ type: "put", key, value: backing.subarray(0, 1) }], SYNC, done));
    assert.deepEqual([...((await store.get(key)) ?? [])], [9]);
    assert.deepEqual([...((await store.get(Buffer.from("AB"))) ?? [])], [9]);
  });

  test("takes a large batch and large values whole", async ({ store, reopen }) => {
    const value = Buffer.alloc(1024 * 1024, 7);
    const ops: WriteOp[] = [{ type: "put", key: Buffer.from("z-large"), value }];
    for (let i = 0; i < 20_000; i++) ops.push(put(`k${String(i).padStart(6, "0")}`, `value ${i}`));
    await write(store, ops, true);
    const again = await reopen();
    const keys = await all(again, "k", "l");
    assert.equal(keys.length, 20_000);
    assert.equal(keys[12_345], "k012345=value 12345");
    assert.deepEqual(await again.get(Buffer.from("z-large")), value);
  });
}

function ordering(test: Test): void {
  test("orders keys bytewise, high bytes last, prefixes first", async ({ store }) => {
    const keys = [[0xff, 0xff], [1], [1, 0], [0x80], [0x7f, 0xff], [0xff], [1, 0, 0], [2]];
    await promise((done) =>
      store.write(
        keys.map((key) => ({ type: "put", key: Buffer.from(key), value: Buffer.from("x") })),
        UNSYNCED,
        done,
      ),
    );
    const view = store.iterate(Buffer.from([1]), Buffer.from([0xff, 0xff, 0xff]));
    const found = await drain(view);
    assert.deepEqual(
      found.map(([key]) => [...key]),
      [[1], [1, 0], [1, 0, 0], [2], [0x7f, 0xff], [0x80], [0xff], [0xff, 0xff]],
    );
  });

  test("iterates from inclusive to exclusive, also where nothing is", async ({ store }) => {
    await write(store, [put("a", "1"), put("b", "2"), put("c", "3")]);
    assert.deepEqual(await all(store, "a", "c"), ["a=1", "b=2"]);
    assert.deepEqual(await all(store, "aa", "b"), []);
    assert.deepEqual(await all(store, "b", "b"), []);
    assert.deepEqual(await all(store, "c", "a"), []);
  });

  test("an iterator reads in pieces and ends with an empty one", async ({ store }) => {
    await write(store, [put("a", "1"), put("b", "2"), put("c", "3"), put("d", "4"), put("e", "5")]);
    const view = store.iterate(Buffer.from("a"), Buffer.from("z"));
    assert.equal((await view.next(2, 1e6)).length, 2);
    assert.equal((await view.next(100, 1)).length, 1, "at least one entry, however large");
    assert.equal((await view.next(100, 1e6)).length, 2);
    assert.equal((await view.next(100, 1e6)).length, 0);
    assert.equal((await view.next(100, 1e6)).length, 0);
    await view.close();
    await view.close();
    assert.equal((await view.next(1, 1)).length, 0, "nothing after close");
  });

  test("an iterator shows the moment of its making, whatever is written after", async ({ store }) => {
    await write(store, [put("a", "1"), put("b", "2"), put("c", "3")]);
    const view = store.iterate(Buffer.from("a"), Buffer.from("z"));
    await write(store, [put("a", "changed"), del("b"), put("bb", "new"), put("d", "new")]);
    const found = (await drain(view)).map(text);
    assert.deepEqual(found, ["a=1", "b=2", "c=3"]);
    assert.deepEqual(await all(store), ["a=changed", "bb=new", "c=3", "d=new"]);
  });

  test("calls back in the order of the calls, and never inside them", async ({ store }) => {
    const order: number[] = [];
    let inside = true;
    const waits = [];
    for (let i = 0; i < 20; i++)
      waits.push(
        promise((done) =>
          store.write([put("same", String(i))], { sync: i % 3 === 0 }, (error) => {
            assert.equal(inside, false, "called back inside the call");
            order.push(i);
            done(error);
          }),
        ),
      );
    inside = false;
    await Promise.all(waits);
    assert.deepEqual(order, [...Array(20).keys()]);
    assert.equal(await read(store, "same"), "19");
  });
}

function durability(test: Test): void {
  test("keeps everything over a close in good order", async ({ store, reopen }) => {
    await write(store, [put("a", "1")], true);
    await write(store, [put("b", "2")], false);
    assert.deepEqual(await all(await reopen()), ["a=1", "b=2"]);
  });

  test("a closed store has finished the writes it was given before", async ({ store, reopen }) => {
    const results: (Error | null)[] = [];
    for (let i = 0; i < 10; i++) store.write([put(`k${i}`, "x")], UNSYNCED, (error) => results.push(error));
    const again = await reopen();
    assert.deepEqual(results, Array(10).fill(null));
    assert.equal((await all(again)).length, 10);
  });

  test("a synced batch makes all before it durable; what is lost is lost from the end", async (subject) => {
    if (!subject.crash) return;
    await write(subject.store, [put("a", "1")], false);
    await write(subject.store, [put("b", "2")], true);
    const unsynced = 30;
    for (let i = 0; i < unsynced; i++)
      await write(
        subject.store,
        [put(`u${String(i).padStart(2, "0")}`, "x"), put(`v${String(i).padStart(2, "0")}`, "x")],
        false,
      );
    const again = await subject.crash();
    const found = await all(again);
    assert.deepEqual(found.slice(0, 2), ["a=1", "b=2"]);
    const u = await all(again, "u", "v");
    const v = await all(again, "v", "w");
    assert.equal(u.length, v.length, "a batch came back in part");
    assert.deepEqual(
      u,
      [...Array(u.length).keys()].map((i) => `u${String(i).padStart(2, "0")}=x`),
    );
  });

  test("what an opened store shows is durable: a second crash takes nothing more", async (subject) => {
    if (!subject.crash) return;
    for (let i = 0; i < 20; i++) await write(subject.store, [put(`k${i}`, "x")], i === 3);
    const found = await all(await subject.crash());
    assert(found.length >= 4);
    assert.deepEqual(await all(await subject.crash()), found);
  });

  test("an empty synced batch makes all before it durable", async (subject) => {
    if (!subject.crash) return;
    await write(subject.store, [put("a", "1")], false);
    await write(subject.store, [], true);
    assert.deepEqual(await all(await subject.crash()), ["a=1"]);
  });
}

function failing(test: Test): void {
  test("after one failed write every later one fails with STORAGE_FAILED", async (subject) => {
    if (!subject.failNextWrite) return;
    const { store } = subject;
    await write(store, [put("a", "1")], true);
    subject.failNextWrite();
    await assert.rejects(write(store, [put("b", "2")], true));
    for (const sync of [false, true])
      await assert.rejects(write(store, [put("c", "3")], sync), (error: Error & { codeName?: string }) => {
        assert.equal(error.codeName, "STORAGE_FAILED");
        return true;
      });
    assert.equal(await read(store, "c"), null);
  });

  test("refuses the keys that belong to the store", async ({ store }) => {
    await assert.rejects(
      promise((done) => store.write([{ type: "del", key: new Uint8Array() }], UNSYNCED, done)),
    );
    await assert.rejects(
      promise((done) => store.write([{ type: "del", key: Buffer.from([0, 1]) }], UNSYNCED, done)),
    );
    await write(store, [put("a", "1")], true);
    const found = await drain(store.iterate(new Uint8Array(), Buffer.from([0xff])));
    assert.deepEqual(found.map(text), ["a=1"], "what the store keeps for itself is not seen");
  });
}

const SYNC = { sync: true } as const;
const UNSYNCED = { sync: false } as const;

function put(key: string, value: string): WriteOp {
  return { type: "put", key: Buffer.from(key), value: Buffer.from(value) };
}

function del(key: string): WriteOp {
  return { type: "del", key: Buffer.from(key) };
}

function promise(call: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => call((error) => (error === null ? resolve() : reject(error))));
}

function write(store: KvStore, ops: readonly WriteOp[], sync = false): Promise<void> {
  return promise((done) => store.write(ops, { sync }, done));
}

async function read(store: KvStore, key: string): Promise<string | null> {
  const value = await store.get(Buffer.from(key));
  return value === null ? null : Buffer.from(value).toString();
}

async function drain(view: KvIterator): Promise<(readonly [Uint8Array, Uint8Array])[]> {
  const found: (readonly [Uint8Array, Uint8Array])[] = [];
  for (;;) {
    const pairs = await view.next(1000, 1e6);
    if (pairs.length === 0) break;
    found.push(...pairs);
  }
  await view.close();
  return found;
}

async function all(store: KvStore, from = "\u0001", to = "~"): Promise<string[]> {
  return (await drain(store.iterate(Buffer.from(from), Buffer.from(to)))).map(text);
}

function text([key, value]: readonly [Uint8Array, Uint8Array]): string {
  return `${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`;
}
