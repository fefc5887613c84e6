import assert from "node:assert/strict";
import type { Vfs } from "../../../src/filenode/api.js";
import { digestOf } from "../../../src/filenode/effects/append.js";
import { cleanEffect, performEffect, resolveEffect } from "../../../src/filenode/effects/index.js";
import { MemoryShare } from "../../../src/testing/memory-share.js";
import { type MemoryOperation, MemoryVfs } from "../../../src/testing/memory-vfs.js";
import { ErrorCode, HoldfastError } from "../../../src/wire/errors.js";
import { v1 } from "../../../src/wire/index.js";
import { build, readTree, type Tree } from "./operations.js";

const K = v1.EffectKind;
const { OBJECT_NAME_COLLISION, OBJECT_NAME_NOT_FOUND, FILE_NOT_AVAILABLE } = ErrorCode;

/** An effect that meets something else than its intent named: identities in the log are "old" for what stood there then. */
interface Meeting {
  readonly name: string;
  readonly before: Tree;
  readonly record: v1.IEffectRecord;
  /** With which both the first run and a resolution are refused; left out: done, as it was no stranger's business. */
  readonly refused?: ErrorCode;
  /** Left out: as before. */
  readonly after?: Tree;
}

const text = new TextEncoder().encode("text");
const append = { offset: 3, length: 4, dataDigest: digestOf(text) };

/** A client of the share that is not ours, or an owner that came too late, has put "new" where the intent means "old". */
const MEETINGS: readonly Meeting[] = [
  {
    name: "create",
    before: { f: "new" },
    record: { kind: K.EFFECT_CREATE, path: "f" },
    refused: OBJECT_NAME_COLLISION,
  },
  {
    name: "make a folder, where a file stands",
    before: { d: "new" },
    record: { kind: K.EFFECT_MKDIR, path: "d", directory: true },
    refused: OBJECT_NAME_COLLISION,
  },
  {
    name: "make a folder, where a folder stands",
    before: { d: null },
    record: { kind: K.EFFECT_MKDIR, path: "d", directory: true },
    refused: OBJECT_NAME_COLLISION,
  },
  {
    name: "overwrite",
    before: { f: "new" },
    record: { kind: K.EFFECT_OVERWRITE, path: "f", fileId: "old", sizeBefore: 3 },
    refused: FILE_NOT_AVAILABLE,
  },
  {
    name: "supersede",
    before: { f: "new" },
    record: { kind: K.EFFECT_SUPERSEDE, path: "f", fileId: "old", sizeBefore: 3 },
    refused: FILE_NOT_AVAILABLE,
  },
  {
    name: "truncate",
    before: { f: "new" },
    record: { kind: K.EFFECT_TRUNCATE, path: "f", fileId: "old", sizeBefore: 3, length: 1 },
    refused: FILE_NOT_AVAILABLE,
  },
  {
    name: "set attributes",
    before: { f: "new" },
    record: { kind: K.EFFECT_SET_ATTRIBUTES, path: "f", fileId: "old" },
    refused: FILE_NOT_AVAILABLE,
  },
  {
    name: "append",
    before: { f: "new" },
    record: { kind: K.EFFECT_APPEND, path: "f", fileId: "old", ...append },
    refused: FILE_NOT_AVAILABLE,
  },
  {
    name: "truncate, and nothing stands there",
    before: {},
    record: { kind: K.EFFECT_TRUNCATE, path: "f", fileId: "old", sizeBefore: 3, length: 1 },
    refused: OBJECT_NAME_NOT_FOUND,
  },
  {
    name: "continue on a copy",
    before: { f: "new" },
    record: { kind: K.EFFECT_FENCE, path: "f", fileId: "old" },
    refused: FILE_NOT_AVAILABLE,
  },
  // The file that was to go is gone.
  { name: "delete", before: { f: "new" }, record: { kind: K.EFFECT_DELETE, path: "f", fileId: "old" } },
  {
    name: "delete of a folder",
    before: { d: null },
    record: { kind: K.EFFECT_DELETE, path: "d", fileId: "old", directory: true },
  },
  {
    name: "rename of what is another file by now",
    before: { f: "new" },
    record: { kind: K.EFFECT_RENAME, path: "f", targetPath: "g", fileId: "old" },
    refused: OBJECT_NAME_NOT_FOUND,
  },
  {
    name: "rename that replaces, of what is another file by now",
    before: { f: "new", g: "target" },
    record: { kind: K.EFFECT_RENAME, path: "f", targetPath: "g", fileId: "old", replace: true },
    refused: OBJECT_NAME_NOT_FOUND,
  },
  {
    name: "rename to a name that is taken",
    before: { f: "mine", g: "new" },
    record: { kind: K.EFFECT_RENAME, path: "f", targetPath: "g", fileId: "f" },
    refused: OBJECT_NAME_COLLISION,
  },
  {
    name: "rename that is done, and another has taken the old name",
    before: { f: "new", g: "mine" },
    record: { kind: K.EFFECT_RENAME, path: "f", targetPath: "g", fileId: "g" },
  },
  {
    name: "rename to its own name",
    before: { f: "mine" },
    record: { kind: K.EFFECT_RENAME, path: "f", targetPath: "f", fileId: "f" },
  },
  {
    name: "link to what is another file by now",
    before: { f: "new" },
    record: { kind: K.EFFECT_LINK, path: "f", targetPath: "g", fileId: "old" },
    refused: OBJECT_NAME_NOT_FOUND,
  },
  {
    name: "link with a name that is taken",
    before: { f: "mine", g: "new" },
    record: { kind: K.EFFECT_LINK, path: "f", targetPath: "g", fileId: "f" },
    refused: OBJECT_NAME_COLLISION,
  },
];

/** The identities that the record means: the name of a file of the tree stands for that file's. */
async function identified(vfs: Vfs, meeting: Meeting): Promise<v1.IEffectRecord> {
  const { fileId = "" } = meeting.record;
  const stat = fileId && fileId in meeting.before ? await vfs.stat(fileId) : null;
  return { ...meeting.record, id: 7, fileId: stat?.fileId ?? fileId };
}

async function codeOf(run: Promise<unknown>): Promise<string> {
  try {
    await run;
    return "done";
  } catch (error) {
    assert.ok(error instanceof HoldfastError, String(error));
    return ErrorCode[error.code];
  }
}

/** Lets something happen to the share right before the first of these operations of an effect. */
function meddled(share: MemoryShare, at: MemoryOperation, path: string, meddle: () => Promise<void>): Vfs {
  let met = false;
  return new MemoryVfs(share, "n1", async (operation, where, phase) => {
    if (met || phase === "after" || operation !== at || where !== path) return;
    met = true;
    await meddle();
  });
}

describe("an effect that meets something else than its intent named", () => {
  for (const meeting of MEETINGS)
    for (const how of ["performed", "resolved"] as const)
      it(`${meeting.name}, ${how}: leaves it alone`, async () => {
        const vfs = new MemoryVfs(new MemoryShare(), "n1");
        await build(vfs, meeting.before);
        const record = await identified(vfs, meeting);
        const data = record.kind === K.EFFECT_APPEND ? text : undefined;
        const run = how === "performed" ? performEffect(vfs, record, data) : resolveEffect(vfs, record);
        assert.equal(await codeOf(run), meeting.refused === undefined ? "done" : ErrorCode[meeting.refused]);
        await cleanEffect(vfs, 7, record);
        assert.deepEqual(await readTree(vfs), meeting.before);
      });

  const between: readonly (readonly [v1.IEffectRecord, at: MemoryOperation, path: string, code: string])[] = [
    [{ kind: K.EFFECT_CREATE, path: "f" }, "link", "f", "OBJECT_NAME_COLLISION"],
    [{ kind: K.EFFECT_DELETE, path: "f" }, "rename", ".holdfast/e7.d", "done"],
    [{ kind: K.EFFECT_RENAME, path: "g", targetPath: "f" }, "link", "f", "OBJECT_NAME_COLLISION"],
    [{ kind: K.EFFECT_LINK, path: "g", targetPath: "f" }, "link", "f", "OBJECT_NAME_COLLISION"],
    [{ kind: K.EFFECT_OVERWRITE, path: "f", sizeBefore: 3 }, "open", "f", "FILE_NOT_AVAILABLE"],
    [{ kind: K.EFFECT_TRUNCATE, path: "f", length: 1 }, "open", "f", "FILE_NOT_AVAILABLE"],
  ];
  for (const [given, at, path, code] of between)
    it(`${K[given.kind ?? 0]}: it appears between the look and the step`, async () => {
      const share = new MemoryShare();
      const other = new MemoryVfs(share, "n2");
      const needsOld = given.path === "f" && given.kind !== K.EFFECT_CREATE;
      await build(other, { g: "kept", ...(needsOld ? { f: "old" } : {}) });
      const vfs = meddled(share, at, path, async () => {
        if (needsOld) await other.unlink("f");
        await build(other, { f: "new" });
      });
      const fileId = given.kind === K.EFFECT_CREATE ? "" : (await other.stat(given.path ?? ""))?.fileId;
      const record = { ...given, id: 7, fileId: fileId ?? "" };
      assert.equal(await codeOf(performEffect(vfs, record)), code);
      await cleanEffect(other, 7, record);
      assert.deepEqual(await readTree(other), { g: "kept", f: "new" });
    });

  it("EFFECT_DELETE: what it moved away by mistake is kept for the operator when its name is taken again", async () => {
    const share = new MemoryShare();
    const other = new MemoryVfs(share, "n2");
    await build(other, { f: "old" });
    const { fileId = "" } = (await other.stat("f")) ?? {};
    const replaced = meddled(share, "rename", ".holdfast/e7.d", async () => {
      await other.unlink("f");
      await build(other, { f: "new" });
    });
    // And once more, before it can put back what it took.
    const link = replaced.link.bind(replaced);
    replaced.link = async (from, to) => {
      await build(other, { f: "newer" });
      return link(from, to);
    };
    const record = { kind: K.EFFECT_DELETE, path: "f", id: 7, fileId };
    await performEffect(replaced, record);
    await cleanEffect(other, 7, record);
    assert.deepEqual(await readTree(other), { f: "newer" });
    assert.deepEqual(await readTree(other, ".holdfast"), { ".holdfast/lost-7": "new" });
  });

  it("EFFECT_MKDIR: not made again once it was made and has another name", async () => {
    const vfs = new MemoryVfs(new MemoryShare(), "n1");
    const record = { kind: K.EFFECT_MKDIR, path: "d", id: 7, directory: true };
    const made = await performEffect(vfs, record);
    await vfs.rename("d", "e");
    assert.deepEqual(await resolveEffect(vfs, record), made);
    await cleanEffect(vfs, 7, record);
    assert.deepEqual(await readTree(vfs), { e: null });
  });

  it("EFFECT_OVERWRITE: cuts what is there now, though it is less than what was seen; resolved it does not", async () => {
    for (const [how, left] of [
      ["performed", ""],
      ["resolved", "new"],
    ] as const) {
      const vfs = new MemoryVfs(new MemoryShare(), "n1");
      await build(vfs, { f: "new" });
      const fileId = (await vfs.stat("f"))?.fileId ?? "";
      const record = { kind: K.EFFECT_OVERWRITE, path: "f", id: 7, fileId, sizeBefore: 9 };
      await (how === "performed" ? performEffect(vfs, record) : resolveEffect(vfs, record));
      assert.deepEqual(await readTree(vfs), { f: left }, how);
    }
  });

  it("two nodes that make the folder for temporary names at the same time both go on", async () => {
    const share = new MemoryShare();
    const [one, two] = [new MemoryVfs(share, "n1"), new MemoryVfs(share, "n2")];
    await Promise.all([
      performEffect(one, { kind: K.EFFECT_CREATE, path: "f", id: 7 }),
      performEffect(two, { kind: K.EFFECT_CREATE, path: "g", id: 8 }),
    ]);
    await cleanEffect(one, 7);
    await cleanEffect(two, 8);
    assert.deepEqual(await readTree(one), { f: "", g: "" });
  });
});
