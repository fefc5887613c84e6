import assert from "node:assert/strict";
import type { Vfs } from "../../../src/filenode/api.js";
import { digestOf } from "../../../src/filenode/effects/append.js";
import { cleanEffect, resolveEffect } from "../../../src/filenode/effects/index.js";
import { ErrorCode, HoldfastError } from "../../../src/wire/errors.js";
import { v1 } from "../../../src/wire/index.js";

/** What stands in a share: path -> content, folders as null. Names of Holdfast itself included. */
export type Tree = Record<string, string | null>;

/** One effect, with the share before it and after it. */
export interface Operation {
  readonly name: string;
  readonly before: Tree;
  /** Synced content of the share once it is done exactly once. */
  readonly after: Tree;
  /** Paths that are read-only once it is done. */
  readonly readOnly?: readonly string[];
  record(vfs: Vfs): Promise<v1.IEffectRecord>;
  readonly data?: string;
  /** Resolving may take it back instead: then the tree is `before` and the error is this one. */
  readonly takenBack?: ErrorCode;
}

const K = v1.EffectKind;
const id = async (vfs: Vfs, path: string) => (await vfs.stat(path))?.fileId ?? "";

/** Every kind of effect, in the forms that differ on storage. */
export const operations: readonly Operation[] = [
  {
    name: "create",
    before: { d: null },
    after: { d: null, "d/f": "" },
    record: async () => ({ kind: K.EFFECT_CREATE, path: "d/f" }),
  },
  {
    name: "create read-only",
    before: {},
    after: { f: "" },
    readOnly: ["f"],
    record: async () => ({ kind: K.EFFECT_CREATE, path: "f", attributes: 1 }),
  },
  {
    name: "create of a folder",
    before: {},
    after: { d: null },
    record: async () => ({ kind: K.EFFECT_CREATE, path: "d", directory: true }),
  },
  {
    name: "mkdir",
    before: { d: null },
    after: { d: null, "d/e": null },
    record: async () => ({ kind: K.EFFECT_MKDIR, path: "d/e", directory: true }),
  },
  {
    name: "overwrite",
    before: { f: "content" },
    after: { f: "" },
    record: async (vfs) => ({
      kind: K.EFFECT_OVERWRITE,
      path: "f",
      fileId: await id(vfs, "f"),
      sizeBefore: 7,
    }),
  },
  {
    name: "supersede",
    before: { f: "content" },
    after: { f: "" },
    record: async (vfs) => ({
      kind: K.EFFECT_SUPERSEDE,
      path: "f",
      fileId: await id(vfs, "f"),
      sizeBefore: 7,
    }),
  },
  {
    name: "truncate",
    before: { f: "content" },
    after: { f: "con" },
    record: async (vfs) => ({
      kind: K.EFFECT_TRUNCATE,
      path: "f",
      fileId: await id(vfs, "f"),
      sizeBefore: 7,
      length: 3,
    }),
  },
  {
    name: "append",
    before: { f: "content" },
    after: { f: "content+more" },
    data: "+more",
    takenBack: ErrorCode.NOT_READY,
    record: async (vfs) => ({
      kind: K.EFFECT_APPEND,
      path: "f",
      fileId: await id(vfs, "f"),
      sizeBefore: 7,
      offset: 7,
      length: 5,
      dataDigest: digestOf(new TextEncoder().encode("+more")),
    }),
  },
  {
    name: "delete",
    before: { f: "content", g: "other" },
    after: { g: "other" },
    record: async (vfs) => ({ kind: K.EFFECT_DELETE, path: "f", fileId: await id(vfs, "f") }),
  },
  {
    name: "delete of a folder",
    before: { d: null, "d/e": null },
    after: { d: null },
    record: async (vfs) => ({
      kind: K.EFFECT_DELETE,
      path: "d/e",
      fileId: await id(vfs, "d/e"),
      directory: true,
    }),
  },
  {
    name: "rename",
    before: { f: "content", d: null },
    after: { d: null, "d/g": "content" },
    record: async (vfs) => ({
      kind: K.EFFECT_RENAME,
      path: "f",
      targetPath: "d/g",
      fileId: await id(vfs, "f"),
    }),
  },
  {
    name: "rename that replaces",
    before: { f: "content", g: "old" },
    after: { g: "content" },
    record: async (vfs) => ({
      kind: K.EFFECT_RENAME,
      path: "f",
      targetPath: "g",
      fileId: await id(vfs, "f"),
      targetFileId: await id(vfs, "g"),
      replace: true,
    }),
  },
  {
    name: "rename of a folder",
    before: { d: null, "d/f": "content" },
    after: { e: null, "e/f": "content" },
    record: async (vfs) => ({
      kind: K.EFFECT_RENAME,
      path: "d",
      targetPath: "e",
      fileId: await id(vfs, "d"),
      directory: true,
    }),
  },
  {
    name: "link",
    before: { f: "content" },
    after: { f: "content", g: "content" },
    record: async (vfs) => ({ kind: K.EFFECT_LINK, path: "f", targetPath: "g", fileId: await id(vfs, "f") }),
  },
  {
    name: "link that replaces",
    before: { f: "content", g: "old" },
    after: { f: "content", g: "content" },
    record: async (vfs) => ({
      kind: K.EFFECT_LINK,
      path: "f",
      targetPath: "g",
      fileId: await id(vfs, "f"),
      targetFileId: await id(vfs, "g"),
      replace: true,
    }),
  },
  {
    name: "continue on a copy",
    before: { f: "content" },
    after: { f: "content" },
    record: async (vfs) => ({ kind: K.EFFECT_FENCE, path: "f", fileId: await id(vfs, "f"), sizeBefore: 7 }),
  },
  {
    name: "set attributes",
    before: { f: "content" },
    after: { f: "content" },
    readOnly: ["f"],
    record: async (vfs) => ({
      kind: K.EFFECT_SET_ATTRIBUTES,
      path: "f",
      fileId: await id(vfs, "f"),
      description: v1.SetInfoRequest.encode({ attributes: 1 }).finish(),
    }),
  },
];

/** Puts a tree into an empty share, all of it on stable storage. */
export async function build(vfs: Vfs, tree: Tree): Promise<void> {
  for (const [path, content] of Object.entries(tree)) {
    if (content === null) await vfs.makeDirectory(path);
    else {
      const file = await vfs.create(path);
      await file.write(0, new TextEncoder().encode(content));
      await file.sync();
      await file.close();
    }
    await vfs.syncDirectory(path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "");
  }
}

/** What stands in a share, without the folder for temporary names, or in one folder of it. */
export async function readTree(vfs: Vfs, path = "", into: Tree = {}): Promise<Tree> {
  const { names } = await vfs.list(path, "", 1000);
  for (const name of names) {
    const child = path === "" ? name : `${path}/${name}`;
    const stat = await vfs.stat(child);
    assert.ok(stat);
    if (stat.directory) {
      into[child] = null;
      await readTree(vfs, child, into);
    } else {
      const file = await vfs.open(child, { write: false });
      into[child] = new TextDecoder().decode(await file.read(0, 4096));
      await file.close();
    }
  }
  return into;
}

/** What the next owner does; answers the error with which the effect was taken back, if it was. */
export async function takeOver(vfs: Vfs, record: v1.IEffectRecord): Promise<ErrorCode | null> {
  let error: ErrorCode | null = null;
  try {
    await resolveEffect(vfs, record);
  } catch (thrown) {
    assert.ok(thrown instanceof HoldfastError, String(thrown));
    error = thrown.code;
  }
  await cleanEffect(vfs, record.id ?? 0, record);
  return error;
}

/** Asserts that the operation was done exactly once, or taken back where it may be, and that nothing of it is left over. */
export async function checkOnce(
  vfs: Vfs,
  operation: Operation,
  error: ErrorCode | null,
  where: string,
): Promise<void> {
  if (error === null) {
    assert.deepEqual(await readTree(vfs), operation.after, where);
    for (const path of operation.readOnly ?? []) assert.equal((await vfs.stat(path))?.readOnly, true, where);
  } else {
    assert.equal(error, operation.takenBack, `${where}: unexpected error`);
    assert.deepEqual(await readTree(vfs), operation.before, where);
  }
  assert.deepEqual((await vfs.list(".holdfast", "", 100).catch(() => ({ names: [] }))).names, [], where);
}
