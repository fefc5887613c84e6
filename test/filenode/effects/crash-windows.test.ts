import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Vfs } from "../../../src/filenode/api.js";
import { type CrashPoint, setCrashHook } from "../../../src/filenode/crash-points.js";
import { cleanEffect, performEffect, resolveEffect } from "../../../src/filenode/effects/index.js";
import { PosixVfs } from "../../../src/filenode/vfs/posix-vfs.js";
import { MemoryShare } from "../../../src/testing/memory-share.js";
import { MemoryVfs } from "../../../src/testing/memory-vfs.js";
import { Prng } from "../../../src/testing/sim/prng.js";
import type { v1 } from "../../../src/wire/index.js";
import { build, checkOnce, type Operation, operations, takeOver } from "./operations.js";

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

async function clean(vfs: Vfs, record: v1.IEffectRecord): Promise<null> {
  await cleanEffect(vfs, record.id ?? 0, record);
  return null;
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
