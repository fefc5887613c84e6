import assert from "node:assert/strict";
import type { Vfs } from "../../../src/filenode/api.js";
import { digestOf } from "../../../src/filenode/effects/append.js";
import { performEffect, resolveEffect } from "../../../src/filenode/effects/index.js";
import { MemoryShare } from "../../../src/testing/memory-share.js";
import { type MemoryOperation, MemoryVfs } from "../../../src/testing/memory-vfs.js";
import { ErrorCode, HoldfastError } from "../../../src/wire/errors.js";
import { v1 } from "../../../src/wire/index.js";
import { quiet } from "../world.js";

const READS: ReadonlySet<MemoryOperation> = new Set(["stat", "open", "read", "list"]);
const RECORD = "record\n";

/** A share seen by two nodes that can be frozen as the kernel does it: reads go through, changes wait in order. */
async function freezable() {
  const share = new MemoryShare();
  const waiting: (() => void)[] = [];
  let frozen = false;
  let refusal: ErrorCode | null = null;
  const door = (node: string) =>
    new MemoryVfs(share, node, (operation, path, phase) => {
      if (phase === "after" || READS.has(operation)) return undefined;
      if (refusal !== null && operation === "create") throw new HoldfastError(refusal, `${path}: refused`);
      return frozen ? new Promise<void>((resolve) => waiting.push(resolve)) : undefined;
    });
  const old = door("n1");
  const file = await old.create("f");
  const { fileId } = await file.stat();
  const data = new TextEncoder().encode(RECORD);
  const effect = (id: number, offset: number): v1.IEffectRecord => ({
    id,
    kind: v1.EffectKind.EFFECT_APPEND,
    path: "f",
    fileId,
    sizeBefore: offset,
    offset,
    length: data.length,
    dataDigest: digestOf(data),
  });
  return {
    old,
    next: door("n2"),
    data,
    effect,
    waiting,
    content: async () => new TextDecoder().decode(await file.read(0, 4096)),
    freeze: () => {
      frozen = true;
    },
    thaw: () => {
      frozen = false;
      for (const go of waiting.splice(0)) go();
    },
    refuseCreates: (code: ErrorCode) => {
      refusal = code;
    },
    leavings: async (vfs: Vfs) => (await vfs.list(".holdfast", "", 10).catch(() => ({ names: [] }))).names,
  };
}

describe("an append whose first write hangs in a share that is frozen", () => {
  it("is not taken back before changes go through again, and stands once after its repeat", async () => {
    const world = await freezable();
    world.freeze();
    const late = performEffect(world.old, world.effect(7, 0), world.data).catch(() => null);
    await quiet();
    assert.equal(world.waiting.length, 1, "the former owner's write waits in the kernel");

    let ended = false;
    const resolved = resolveEffect(world.next, world.effect(7, 0))
      .then(
        () => null,
        (error: unknown) => HoldfastError.from(error).code,
      )
      .finally(() => {
        ended = true;
      });
    await quiet();
    assert.equal(ended, false, "nobody can know yet whether the write will land");

    world.thaw();
    const error = await resolved;
    await late;
    // What its client does with the answer "taken back".
    if (error !== null) {
      assert.equal(error, ErrorCode.NOT_READY);
      const offset = (await world.content()).length;
      await performEffect(world.next, world.effect(8, offset), world.data);
    }
    assert.equal(await world.content(), RECORD);
    assert.deepEqual(await world.leavings(world.next), []);
  });

  for (const code of [ErrorCode.DISK_FULL, ErrorCode.OBJECT_NAME_COLLISION])
    it(`is taken back when the share answers changes with ${ErrorCode[code]}`, async () => {
      const world = await freezable();
      world.refuseCreates(code);
      await assert.rejects(resolveEffect(world.next, world.effect(7, 0)), { code: ErrorCode.NOT_READY });
      assert.equal(await world.content(), "");
    });
});
