import assert from "node:assert/strict";
import type { Vfs } from "../filenode/api.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";

/** One promise of the Vfs interface, as a test on an empty share. */
export interface VfsCase {
  readonly name: string;
  readonly run: (vfs: Vfs) => Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

async function put(vfs: Vfs, path: string, content: string): Promise<string> {
  const file = await vfs.create(path);
  await file.write(0, bytes(content));
  await file.sync();
  const { fileId } = await file.stat();
  await file.close();
  return fileId;
}

async function get(vfs: Vfs, path: string): Promise<string> {
  const file = await vfs.open(path, { write: false });
  const data = await file.read(0, 1 << 20);
  await file.close();
  return text(data);
}

/** Asserts that an operation fails with this code, as one of our errors. */
export async function refuses(code: ErrorCode, operation: Promise<unknown>): Promise<void> {
  await assert.rejects(operation, (error) => {
    assert.ok(error instanceof HoldfastError, `not one of our errors: ${String(error)}`);
    assert.equal(ErrorCode[error.code], ErrorCode[code], error.message);
    return true;
  });
}

/** What every implementation of a share must do; run each case on a fresh, empty one. */
export const vfsConformance: readonly VfsCase[] = [
  {
    name: "answers null for what is not there, and a folder for the root",
    run: async (vfs) => {
      assert.equal(await vfs.stat("nothing"), null);
      assert.equal((await vfs.stat(""))?.directory, true);
      await refuses(ErrorCode.OBJECT_NAME_NOT_FOUND, vfs.open("nothing", { write: false }));
      await refuses(ErrorCode.OBJECT_NAME_NOT_FOUND, vfs.unlink("nothing"));
      await refuses(ErrorCode.OBJECT_PATH_NOT_FOUND, vfs.stat("no/file"));
      await refuses(ErrorCode.OBJECT_PATH_NOT_FOUND, vfs.create("no/file"));
    },
  },
  {
    name: "reads back what was written, with holes as zeros and nothing past the end",
    run: async (vfs) => {
      const file = await vfs.create("f");
      await file.write(3, bytes("abc"));
      await file.write(1, bytes("x"));
      assert.deepEqual([...(await file.read(0, 100))], [0, 120, 0, 97, 98, 99]);
      assert.equal(text(await file.read(4, 1)), "b");
      assert.equal((await file.read(6, 10)).length, 0);
      assert.equal((await file.stat()).size, 6);
      await file.truncate(4);
      await file.truncate(5);
      assert.deepEqual([...(await file.read(3, 9))], [97, 0]);
      await file.close();
    },
  },
  {
    name: "creates exclusively",
    run: async (vfs) => {
      await put(vfs, "f", "first");
      await refuses(ErrorCode.OBJECT_NAME_COLLISION, vfs.create("f"));
      await vfs.makeDirectory("d");
      await refuses(ErrorCode.OBJECT_NAME_COLLISION, vfs.create("d"));
      await refuses(ErrorCode.OBJECT_NAME_COLLISION, vfs.makeDirectory("d"));
      assert.equal(await get(vfs, "f"), "first");
    },
  },
  {
    name: "keeps a file's identity over rename and link, and gives a new file another",
    run: async (vfs) => {
      const id = await put(vfs, "a", "1");
      await vfs.rename("a", "b");
      assert.equal((await vfs.stat("b"))?.fileId, id);
      await vfs.link("b", "c");
      assert.equal((await vfs.stat("c"))?.fileId, id);
      assert.equal((await vfs.stat("c"))?.linkCount, 2);
      await vfs.unlink("b");
      await vfs.unlink("c");
      assert.notEqual(await put(vfs, "b", "2"), id);
    },
  },
  {
    name: "refuses to link over something and replaces by rename",
    run: async (vfs) => {
      const first = await put(vfs, "a", "a");
      await put(vfs, "b", "b");
      await refuses(ErrorCode.OBJECT_NAME_COLLISION, vfs.link("a", "b"));
      assert.equal(await get(vfs, "b"), "b");
      await vfs.rename("a", "b");
      assert.equal((await vfs.stat("b"))?.fileId, first);
      assert.equal(await vfs.stat("a"), null);
    },
  },
  {
    name: "renames between two names of one file do nothing",
    run: async (vfs) => {
      await put(vfs, "a", "a");
      await vfs.link("a", "b");
      await vfs.rename("a", "b");
      assert.notEqual(await vfs.stat("a"), null);
      assert.notEqual(await vfs.stat("b"), null);
    },
  },
  {
    name: "keeps a file that was unlinked readable and writable while it is open",
    run: async (vfs) => {
      await put(vfs, "f", "old");
      const file = await vfs.open("f", { write: true });
      await vfs.unlink("f");
      await put(vfs, "f", "new");
      await file.write(3, bytes("er"));
      assert.equal(text(await file.read(0, 9)), "older");
      assert.equal(await get(vfs, "f"), "new");
      await file.close();
    },
  },
  {
    name: "tells files from folders",
    run: async (vfs) => {
      await vfs.makeDirectory("d");
      await put(vfs, "d/f", "x");
      await refuses(ErrorCode.FILE_IS_A_DIRECTORY, vfs.open("d", { write: false }));
      await refuses(ErrorCode.OBJECT_PATH_NOT_FOUND, vfs.stat("d/f/g"));
      await refuses(ErrorCode.DIRECTORY_NOT_EMPTY, vfs.removeDirectory("d"));
      await vfs.unlink("d/f");
      await vfs.removeDirectory("d");
      assert.equal(await vfs.stat("d"), null);
    },
  },
  {
    name: "lists in order, in pages, without names that Holdfast keeps for itself",
    run: async (vfs) => {
      for (const name of ["c", "a", "b", "ä", ".hidden"]) await put(vfs, name, name);
      await vfs.makeDirectory(".holdfast");
      const first = await vfs.list("", "", 2);
      assert.deepEqual(first, { names: [".hidden", "a"], more: true });
      const rest = await vfs.list("", "a", 10);
      assert.deepEqual(rest, { names: ["b", "c", "ä"], more: false });
      await refuses(ErrorCode.OBJECT_PATH_NOT_FOUND, vfs.list("nothing", "", 1));
    },
  },
  {
    name: "sets attributes and times",
    run: async (vfs) => {
      await put(vfs, "f", "x");
      await vfs.setAttributes("f", { readOnly: true, modifiedMs: 1_600_000_000_123 });
      const stat = await vfs.stat("f");
      assert.equal(stat?.readOnly, true);
      assert.equal(stat?.modifiedMs, 1_600_000_000_123);
      await vfs.setAttributes("f", { readOnly: false });
      assert.equal((await vfs.stat("f"))?.readOnly, false);
    },
  },
  {
    name: "copies into a new file of its own",
    run: async (vfs) => {
      const id = await put(vfs, "a", "content");
      await vfs.copy("a", "b");
      assert.equal(await get(vfs, "b"), "content");
      assert.notEqual((await vfs.stat("b"))?.fileId, id);
      const file = await vfs.open("a", { write: true });
      await file.write(0, bytes("C"));
      await file.close();
      assert.equal(await get(vfs, "b"), "content");
      await refuses(ErrorCode.OBJECT_NAME_COLLISION, vfs.copy("a", "b"));
    },
  },
  {
    name: "syncs folders",
    run: async (vfs) => {
      await vfs.makeDirectory("d");
      await vfs.syncDirectory("");
      await vfs.syncDirectory("d");
      await refuses(ErrorCode.OBJECT_PATH_NOT_FOUND, vfs.syncDirectory("nothing"));
    },
  },
];
