import assert from "node:assert/strict";
import {
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRocks } from "../../src/storage/index.js";
import { WalRoom } from "../../src/storage/wal-room.js";
import type { KvStore } from "../../src/runtime/api.js";
import { settled } from "./fixtures.js";

const MB = 1024 * 1024;

describe("room in the write-ahead log", () => {
  const folders: string[] = [];
  const folder = () => {
    const made = mkdtempSync(join(tmpdir(), "holdfast-wal-"));
    folders.push(made);
    return made;
  };
  afterEach(() => {
    for (const each of folders.splice(0)) rmSync(each, { recursive: true, force: true });
  });

  it("makes the newest log long and leaves the older ones", async () => {
    const path = folder();
    for (const name of ["000009.log", "000010.log", "LOG", "junk.log"])
      writeFileSync(join(path, name), "abc");
    await new WalRoom(path, MB).make();
    const sizes = readdirSync(path).map((name) => [name, statSync(join(path, name)).size]);
    assert.deepEqual(Object.fromEntries(sizes), {
      "000009.log": 3,
      "000010.log": MB,
      LOG: 3,
      "junk.log": 3,
    });
  });

  it("never makes a log shorter", async () => {
    const path = folder();
    writeFileSync(join(path, "000003.log"), Buffer.alloc(2 * MB, 1));
    await new WalRoom(path, MB).make();
    assert.equal(statSync(join(path, "000003.log")).size, 2 * MB);
  });

  it("stays ahead of what is written, and leaves that as it is", async () => {
    const path = folder();
    const log = join(path, "000004.log");
    const data = Buffer.alloc(300 * 1024, 5);
    writeFileSync(log, "abc");
    const room = new WalRoom(path, 4 * MB);
    await keep(room, 3);
    assert.equal(statSync(log).size, MB + 3);
    const handle = openSync(log, "r+");
    let at = 3;
    for (let i = 0; i < 16; i++) {
      assert(statSync(log).size >= Math.min(at + data.length, 4 * MB), `look ${i}: the log is full`);
      at += writeSync(handle, data, 0, data.length, at);
      await keep(room, data.length);
    }
    closeSync(handle);
    const now = readFileSync(log);
    assert.equal(now.subarray(0, 3).toString(), "abc");
    assert(now.subarray(3, at).every((byte) => byte === 5));
    assert(now.subarray(at).every((byte) => byte === 0));
    assert.equal(now.length, Math.max(at, 4 * MB));
  });

  it("makes no holes: a write into one has to change the map of the file's blocks", async function () {
    const path = folder();
    const zeros = join(path, "zeros");
    writeFileSync(zeros, Buffer.alloc(MB));
    // Some file systems pack zeros, or count late.
    if (statSync(zeros).blocks * 512 < MB) this.skip();
    writeFileSync(join(path, "000001.log"), "abc");
    await new WalRoom(path, MB).make();
    assert(statSync(join(path, "000001.log")).blocks * 512 >= MB);
  });

  it("leaves a log alone that has outgrown it", async () => {
    const path = folder();
    const log = join(path, "000001.log");
    writeFileSync(log, "abc");
    const room = new WalRoom(path, 2 * MB);
    await room.make();
    writeFileSync(log, Buffer.alloc(3 * MB, 1));
    await keep(room, 3 * MB);
    await room.make();
    assert(readFileSync(log).equals(Buffer.alloc(3 * MB, 1)));
  });

  it("is due at the start, and looked for after each quarter of a megabyte", async () => {
    const path = folder();
    writeFileSync(join(path, "000001.log"), "");
    const room = new WalRoom(path, 2 * MB);
    assert.equal(room.wrote(1), "make");
    await room.make();
    assert.equal(room.wrote(256 * 1024 - 1), null);
    assert.equal(room.wrote(1), "look");
    assert.equal(room.wrote(256 * 1024 - 1), null, "counted from the look");
  });

  it("is due for a newer log, and for one with less than a megabyte left", async () => {
    const path = folder();
    writeFileSync(join(path, "000001.log"), "");
    const room = new WalRoom(path, 2 * MB);
    await room.make();
    await room.look();
    assert.equal(room.wrote(0), null, "a megabyte is left");
    room.wrote(1);
    await room.look();
    assert.equal(room.wrote(0), "make");
    await room.make();
    assert.equal(statSync(join(path, "000001.log")).size, 2 * MB);
    room.wrote(2 * MB);
    await room.look();
    assert.equal(room.wrote(0), null, "as long as it is to be made");
    writeFileSync(join(path, "000002.log"), "");
    await room.look();
    assert.equal(room.wrote(0), "make");
  });

  it("is not asked for again and again where it cannot be made", async () => {
    const path = folder();
    writeFileSync(join(path, "000001.log"), "");
    const room = new WalRoom(path, 2 * MB);
    await room.make();
    rmSync(path, { recursive: true });
    room.wrote(MB);
    await room.look();
    assert.equal(room.wrote(0), null);
    await room.make();
    assert.equal(room.wrote(0), null);
  });

  it("does without where the folder cannot be read", async () => {
    await new WalRoom(join(folder(), "gone"), MB).make();
  });

  it("is given to each log that the database begins, and nothing acknowledged is lost with it", async () => {
    const path = join(folder(), "db");
    const options = { writeBufferBytes: 256 * 1024 };
    const store = await openRocks(path, options);
    const value = Buffer.alloc(4096, 7);
    const logs = new Set<string>();
    const long = new Set<string>();
    for (let i = 0; i < 250; i++) {
      await put(store, key(i), value);
      for (const name of readdirSync(path)) {
        if (!/^\d+\.log$/.test(name)) continue;
        logs.add(name);
        // A log may vanish between the two calls: the database deletes it once its table is written.
        if ((statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0) >= MB) long.add(name);
      }
    }
    assert(logs.size >= 3, `${logs.size} logs`);
    assert(long.size >= logs.size - 1, `${long.size} of ${logs.size} logs were made long`);
    const copy = `${path}-killed`;
    cpSync(path, copy, { recursive: true });
    await store.close();
    const again = await openRocks(copy, options);
    for (let i = 0; i < 250; i++) assert.deepEqual(Buffer.from((await again.get(key(i))) ?? []), value);
    await again.close();
  });

  it("a large last write that was torn by a crash is dropped whole, the ones before it stay", async () => {
    const path = join(folder(), "db");
    const store = await openRocks(path);
    await put(store, key(1), Buffer.alloc(100, 1));
    // Several blocks of the log: its first parts are whole, the rest reads as zeros.
    await settled((done) =>
      store.write([{ type: "put", key: key(2), value: Buffer.alloc(200_000, 2) }], { sync: false }, done),
    );
    const copy = `${path}-killed`;
    cpSync(path, copy, { recursive: true });
    await store.close();
    const log = newestLog(copy);
    truncateSync(log, 100_000);
    truncateSync(log, 24 * MB);
    const again = await openRocks(copy);
    assert.equal((await again.get(key(1)))?.length, 100);
    assert.equal(await again.get(key(2)), null);
    await put(again, key(3), Buffer.from("goes on"));
    await again.close();
  });
});

/** What the store does after a batch of so many bytes. */
async function keep(room: WalRoom, bytes: number): Promise<void> {
  if (room.wrote(bytes) === "look") await room.look();
  if (room.wrote(0) === "make") await room.make();
}

function key(i: number): Buffer {
  return Buffer.from(`k${String(i).padStart(6, "0")}`);
}

function put(store: KvStore, at: Buffer, value: Buffer): Promise<void> {
  return settled((done) => store.write([{ type: "put", key: at, value }], { sync: true }, done));
}

function newestLog(path: string): string {
  const name = readdirSync(path)
    .filter((each) => /^\d+\.log$/.test(each))
    .sort()
    .pop();
  assert(name);
  return join(path, name);
}
