import assert from "node:assert/strict";
import type { VfsFile } from "../../src/filenode/api.js";
import { KernelGate } from "../../src/filenode/kernel-gate.js";
import { withFilenodeMutant } from "../../src/filenode/mutants.js";
import { WritePipe } from "../../src/filenode/write-pipe.js";
import { MemoryShare } from "../../src/testing/memory-share.js";
import { type MemoryFaults, MemoryVfs } from "../../src/testing/memory-vfs.js";
import { refuses } from "../../src/testing/vfs-conformance.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";

/** A pipe over a file in memory whose syncs wait until they are let go. */
async function setup(options: { leaseHeld?: () => boolean; faults?: MemoryFaults } = {}) {
  const share = new MemoryShare();
  const calls: string[] = [];
  const syncs: (() => void)[] = [];
  const vfs = new MemoryVfs(share, "n1", async (operation, path, phase) => {
    await options.faults?.(operation, path, phase);
    if (phase !== "before") return;
    if (operation === "write" || operation === "sync") calls.push(operation);
    if (operation === "sync") await new Promise<void>((resolve) => syncs.push(resolve));
  });
  const file: VfsFile = await vfs.create("f");
  const pipe = new WritePipe({
    gate: new KernelGate(4),
    file: () => Promise.resolve(file),
    admit: () => {
      if (options.leaseHeld?.() === false) throw new HoldfastError(ErrorCode.LEASE_LOST, "no lease");
    },
    writesPerSyncMax: 32,
    writeThrough: true,
  });
  return { share, calls, syncs, file, pipe };
}

/** Lets everything that can run do so. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const data = (text: string) => new TextEncoder().encode(text);

describe("the writes of a handle", () => {
  it("are answered only after a sync", async () => {
    const { pipe, syncs } = await setup();
    let answered = false;
    const write = pipe.write(0, data("a")).then(() => {
      answered = true;
    });
    await settle();
    assert.equal(answered, false);
    syncs.shift()?.();
    await write;
  });

  it("would be answered too early by the planted bug replyBeforeSync", async () => {
    await withFilenodeMutant("replyBeforeSync", async () => {
      const { pipe, syncs } = await setup();
      await pipe.write(0, data("a"));
      assert.equal(syncs.length, 0);
    });
  });

  it("collect while a sync runs, and share the next one, in order", async () => {
    const { pipe, calls, syncs, file } = await setup();
    const writes = [pipe.write(0, data("aaa"))];
    await settle();
    writes.push(pipe.write(0, data("bb")), pipe.write(1, data("c")));
    await settle();
    assert.deepEqual(calls, ["write", "sync"]);
    syncs.shift()?.();
    await settle();
    assert.deepEqual(calls, ["write", "sync", "write", "write", "sync"]);
    syncs.shift()?.();
    await Promise.all(writes);
    assert.equal(new TextDecoder().decode(await file.read(0, 9)), "bca");
  });

  it("that wait are turned away when the lease goes; what is in the kernel is not recalled", async () => {
    let held = true;
    const { pipe, syncs, file } = await setup({ leaseHeld: () => held });
    const first = pipe.write(0, data("first"));
    await settle();
    const late = pipe.write(0, data("later"));
    held = false;
    syncs.shift()?.();
    await first;
    await refuses(ErrorCode.LEASE_LOST, late);
    assert.equal(new TextDecoder().decode(await file.read(0, 9)), "first");
  });

  it("would land after the lease with the planted bug lateWriteAfterTakeover", async () => {
    await withFilenodeMutant("lateWriteAfterTakeover", async () => {
      let held = true;
      const { pipe, syncs, file } = await setup({ leaseHeld: () => held });
      const first = pipe.write(0, data("first"));
      await settle();
      const late = pipe.write(0, data("later"));
      held = false;
      syncs.shift()?.();
      await first;
      await settle();
      syncs.shift()?.();
      await late;
      assert.equal(new TextDecoder().decode(await file.read(0, 9)), "later");
    });
  });

  it("fail one by one on a full disk, and all together on a broken one", async () => {
    let fault: ErrorCode | null = ErrorCode.DISK_FULL;
    const faults: MemoryFaults = (operation, _path, phase) => {
      if (operation !== "write" || phase !== "before" || fault === null) return;
      const code = fault;
      if (code === ErrorCode.DISK_FULL) fault = null;
      throw new HoldfastError(code, "injected");
    };
    const { pipe, syncs } = await setup({ faults });
    const full = pipe.write(0, data("a"));
    await refuses(ErrorCode.DISK_FULL, full);
    const fine = pipe.write(0, data("b"));
    await settle();
    syncs.shift()?.();
    await fine;
    fault = ErrorCode.STORAGE_FAILED;
    const broken = [pipe.write(0, data("c")), pipe.write(1, data("d"))];
    for (const write of broken) await refuses(ErrorCode.STORAGE_FAILED, write);
  });
});

describe("the kernel gate", () => {
  it("lets only so many in, and asks for admission at the moment of entry", async () => {
    const gate = new KernelGate(2);
    const leave: (() => void)[] = [];
    let admitted = true;
    const enter = () =>
      gate.run(
        () => {
          if (!admitted) throw new HoldfastError(ErrorCode.LEASE_LOST, "no lease");
        },
        () => new Promise<void>((resolve) => leave.push(resolve)),
      );
    const runs = [enter(), enter(), enter()];
    await settle();
    assert.equal(leave.length, 2);
    admitted = false;
    leave.shift()?.();
    await runs[0];
    await refuses(ErrorCode.LEASE_LOST, runs[2] as Promise<void>);
    leave.shift()?.();
    await runs[1];
    assert.equal(gate.busy, 0);
  });
});
