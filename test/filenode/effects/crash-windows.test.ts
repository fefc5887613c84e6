import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Vfs } from "../../../src/filenode/api.js";
import { type CrashPoint, setCrashHook } from "../../../src/filenode/crash-points.js";
import { digestOf } from "../../../src/filenode/effects/append.js";
import { cleanEffect, performEffect, resolveEffect } from "../../../src/filenode/effects/index.js";
import { PosixVfs } from "../../../src/filenode/vfs/posix-vfs.js";
import { MemoryShare } from "../../../src/testing/memory-share.js";
import { MemoryVfs } from "../../../src/testing/memory-vfs.js";
import { Prng } from "../../../src/testing/sim/prng.js";
import { ErrorCode, HoldfastError } from "../../../src/wire/errors.js";
import { v1 } from "../../../src/wire/index.js";

/** What stands in a share: path -> content, folders as null. Names of Holdfast itself included. */
type Tree = Record<string, string | null>;

interface Operation {
  readonly name: string;
  readonly before: Tree;
  /** Synced content of the share once it is done exactly once. */
  readonly after: Tree;
  record(vfs: Vfs): Promise<v1.IEffectRecord>;
  readonly data?: string;
  /** Resolving may take it back instead: then the tree is `before` and the error is this one. */
  readonly takenBack?: ErrorCode;
}

const K = v1.EffectKind;
const id = async (vfs: Vfs, path: string) => (await vfs.stat(path))?.fileId ?? "";

const operations: Operation[] = [
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
    record: async (vfs) => ({
      kind: K.EFFECT_SET_ATTRIBUTES,
      path: "f",
      fileId: await id(vfs, "f"),
      description: v1.SetInfoRequest.encode({ attributes: 1 }).finish(),
    }),
  },
];

async function build(vfs: Vfs, tree: Tree): Promise<void> {
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

async function read(vfs: Vfs, path = "", into: Tree = {}): Promise<Tree> {
  const { names } = await vfs.list(path, "", 1000);
  for (const name of names) {
    const child = path === "" ? name : `${path}/${name}`;
    const stat = await vfs.stat(child);
    assert.ok(stat);
    if (stat.directory) {
      into[child] = null;
      await read(vfs, child, into);
    } else {
      const file = await vfs.open(child, { write: false });
      into[child] = new TextDecoder().decode(await file.read(0, 4096));
      await file.close();
    }
  }
  return into;
}

class Crash extends Error {}

/** Runs the effect and lets it die at its n-th crash point; answers the point, or null when it ended before. */
async function crashAt(
  vfs: Vfs,
  record: v1.IEffectRecord,
  data: Uint8Array | undefined,
  n: number,
): Promise<CrashPoint | null> {
  let passed = 0;
  let died: CrashPoint | null = null;
  setCrashHook((name) => {
    passed += 1;
    if (passed !== n) return;
    died = name;
    throw new Crash(name);
  });
  try {
    await performEffect(vfs, record, data);
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
  } finally {
    setCrashHook(null);
  }
  return died;
}

/** What the next owner does; answers the error with which the effect was taken back, if it was. */
async function takeOver(vfs: Vfs, record: v1.IEffectRecord): Promise<ErrorCode | null> {
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

async function clean(vfs: Vfs, record: v1.IEffectRecord): Promise<null> {
  await cleanEffect(vfs, record.id ?? 0, record);
  return null;
}

async function checkOnce(
  vfs: Vfs,
  operation: Operation,
  error: ErrorCode | null,
  where: string,
): Promise<void> {
  if (error === null) assert.deepEqual(await read(vfs), operation.after, where);
  else {
    assert.equal(error, operation.takenBack, `${where}: unexpected error`);
    assert.deepEqual(await read(vfs), operation.before, where);
  }
  assert.deepEqual((await vfs.list(".holdfast", "", 100).catch(() => ({ names: [] }))).names, [], where);
}

async function eachPoint(
  operation: Operation,
  prepare: () => Promise<{ vfs: Vfs; next: (vfs: Vfs) => Vfs; end: () => Promise<void> }>,
): Promise<number> {
  const data = operation.data === undefined ? undefined : new TextEncoder().encode(operation.data);
  for (let n = 1; ; n++) {
    const { vfs, next, end } = await prepare();
    try {
      await build(vfs, operation.before);
      const record = { ...(await operation.record(vfs)), id: 7 };
      const died = await crashAt(vfs, record, data, n);
      const where = `${operation.name}, died at ${died ?? "its end"}`;
      const successor = next(vfs);
      // One that ended is on record as done: nobody resolves it, and it must be there after the power failed.
      const error = died === null ? await clean(successor, record) : await takeOver(successor, record);
      await checkOnce(successor, operation, error, where);
      if (died === null) return n - 1;
    } finally {
      await end();
    }
  }
}

describe("an effect that stops anywhere is done exactly once or taken back", () => {
  for (const operation of operations) {
    it(`${operation.name}: on a real directory, after each step`, async () => {
      const points = await eachPoint(operation, async () => {
        const root = await mkdtemp(join(tmpdir(), "holdfast-effect-"));
        const vfs = await PosixVfs.open(root);
        const end = async () => {
          await vfs.close();
          await rm(root, { recursive: true });
        };
        return { vfs, next: () => vfs, end };
      });
      assert.ok(points > 0, "no crash point was passed");
    });

    it(`${operation.name}: with the power cut after each step, 20 seeds`, async () => {
      const first = Number(process.env["SEED"] ?? 1);
      for (let seed = first; seed < first + 20; seed++) {
        const random = new Prng([seed, 0x9e3779b9, 0x243f6a88, 0xb7e15162]);
        try {
          await eachPoint(operation, async () => {
            const share = new MemoryShare(() => 1_700_000_000_000);
            const next = () => {
              share.powerCut(random);
              return new MemoryVfs(share, "n2");
            };
            return { vfs: new MemoryVfs(share, "n1"), next, end: async () => {} };
          });
        } catch (error) {
          throw new Error(`SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`, {
            cause: error,
          });
        }
      }
    });
  }

  it("is harmless to resolve twice", async () => {
    for (const operation of operations) {
      const vfs = new MemoryVfs(new MemoryShare(), "n1");
      await build(vfs, operation.before);
      const record = { ...(await operation.record(vfs)), id: 7 };
      const data = operation.data === undefined ? undefined : new TextEncoder().encode(operation.data);
      await performEffect(vfs, record, data);
      await resolveEffect(vfs, record);
      await resolveEffect(vfs, record);
      await cleanEffect(vfs, 7, record);
      await checkOnce(vfs, operation, null, `${operation.name}, resolved twice`);
    }
  });
});
