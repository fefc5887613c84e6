import assert from "node:assert/strict";
import { ChannelSequence } from "../../src/filenode/channel-sequence.js";
import { digestOf } from "../../src/filenode/effects/append.js";
import { performEffect, resolveEffect } from "../../src/filenode/effects/index.js";
import { type FilenodeMutant, withFilenodeMutant } from "../../src/filenode/mutants.js";
import { MemoryShare } from "../../src/testing/memory-share.js";
import { type MemoryFaults, MemoryVfs } from "../../src/testing/memory-vfs.js";
import { Prng } from "../../src/testing/sim/prng.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { guidOf, quiet, TestClient, World } from "./world.js";

async function world(faults?: MemoryFaults) {
  const made = new World();
  made.init();
  const n1 = await made.start("n1", faults ? { faults } : {});
  const n2 = await made.start("n2");
  const alice = await TestClient.make(1).open(n1);
  return { world: made, n1, n2, alice };
}

const bytes = (text: string) => new TextEncoder().encode(text);

/** For each planted bug a promise that it breaks: holds without the bug, and fails with it. */
const promises: Record<FilenodeMutant, () => Promise<void>> = {
  async replyBeforeSync() {
    const { world: w, alice } = await world();
    const open = await alice.openFile("f");
    await alice.write(open, 0, "acknowledged");
    for (let seed = 1; seed < 20; seed++) w.share.powerCut(new Prng([seed, 1, 2, 3]));
    assert.equal(await alice.read(open), "acknowledged");
  },
  async noLeaseCheckBeforeReply() {
    let during = () => {};
    const { n1, alice } = await world((operation, _path, phase) => {
      if (operation === "read" && phase === "after") during();
    });
    const open = await alice.openFile("f");
    during = () => {
      n1.lease.held = false;
    };
    await alice.refused(ErrorCode.LEASE_LOST, {
      read: { handle: open.handle ?? null, offset: 0, length: 1 },
    });
  },
  async lateWriteAfterTakeover() {
    let letGo = () => {};
    let holding = false;
    const { n1, alice } = await world((operation, _path, phase) => {
      if (!holding || operation !== "sync" || phase !== "before") return;
      return new Promise<void>((resolve) => {
        letGo = resolve;
      });
    });
    const open = await alice.openFile("f");
    await alice.write(open, 0, "----");
    holding = true;
    const data = (text: string, offset: number) =>
      alice.ask({ write: { handle: open.handle ?? null, offset, data: bytes(text) } });
    const first = data("a", 0);
    await quiet();
    const late = data("b", 1);
    await quiet();
    n1.lease.held = false;
    holding = false;
    letGo();
    await Promise.all([first, late]);
    n1.lease.held = true;
    assert.equal(await alice.read(open), "a---");
  },
  async skipResolution() {
    const stuck: MemoryFaults = (operation, _path, phase) =>
      operation === "link" && phase === "before" ? new Promise<void>(() => {}) : undefined;
    const { world: w, n1, n2, alice } = await world(stuck);
    const id = alice.requestId();
    void alice.ask(alice.openRequest("f"), { request: id });
    await quiet();
    w.kill(n1);
    await quiet();
    assert.equal((await alice.resume(n2)).error ?? null, null);
    await alice.must(alice.openRequest("f"), { request: id, replay: true });
  },
  async outcomeLost() {
    const { world: w, alice } = await world();
    await alice.ask(alice.openRequest("f"), { request: alice.requestId() });
    await quiet();
    assert.deepEqual([...w.coordinator.state.effects()], []);
  },
  async createInPlace() {
    const vfs = new MemoryVfs(new MemoryShare(), "n1");
    const effect = { id: 7, kind: v1.EffectKind.EFFECT_CREATE, path: "f" };
    const made = await performEffect(vfs, effect);
    const resolved = await resolveEffect(vfs, effect);
    assert.equal(resolved.fileId, made.fileId);
  },
  async admitStaleSequence() {
    const sequence = new ChannelSequence(5);
    assert.equal(sequence.admit(4, false, true).admitted, false);
  },
  async ignoreOthersLocks() {
    const { n2, alice } = await world();
    const bob = await TestClient.make(2, "bob").open(n2);
    const mine = await alice.openFile("f");
    const his = await bob.openFile("f", { createGuid: guidOf("bob") });
    const elements = [{ offset: 0, length: 1, exclusive: true }];
    await alice.must({ lock: { handle: mine.handle ?? null, elements } }, { request: alice.requestId() });
    await bob.refused(ErrorCode.FILE_LOCK_CONFLICT, {
      write: { handle: his.handle ?? null, offset: 0, data: bytes("x") },
    });
  },
  async ignoreVolatileId() {
    const { n1, alice } = await world();
    const open = await alice.openFile("f");
    alice.hangUp();
    await quiet();
    await alice.resume(n1);
    await alice.reconnect(open, "f");
    await alice.refused(ErrorCode.FILE_CLOSED, {
      read: { handle: open.handle ?? null, offset: 0, length: 1 },
    });
  },
  async writeBesideCut() {
    let letGo = () => {};
    let holding = false;
    const { alice } = await world((operation, _path, phase) => {
      if (!holding || operation !== "truncate" || phase !== "before") return;
      return new Promise<void>((resolve) => {
        letGo = resolve;
      });
    });
    const open = await alice.openFile("f");
    await alice.write(open, 0, "content");
    holding = true;
    const cut = alice.ask(
      { setInfo: { handle: open.handle ?? null, endOfFile: 3 } },
      { request: alice.requestId() },
    );
    await quiet();
    const write = alice.write(open, 5, "late");
    await quiet();
    letGo();
    await Promise.all([cut, write]);
    // It was announced after the cut, which is under way: it stands behind it.
    assert.equal(await alice.read(open), "con\0\0late");
  },
  async takenBackForgotten() {
    let letGo = () => {};
    let holding = false;
    const {
      world: w,
      n1,
      n2,
      alice,
    } = await world((operation, _path, phase) => {
      if (!holding || operation !== "write" || phase !== "before") return;
      return new Promise<void>((resolve) => {
        letGo = resolve;
      });
    });
    const open = await alice.openFile("f");
    await alice.write(open, 0, "content");
    const request = alice.requestId();
    const append = (handle: v1.IHandleId | null): v1.IFileRequest => ({
      write: { handle, append: true, data: bytes("+more") },
    });
    holding = true;
    void alice.ask(append(open.handle ?? null), { request }).catch(() => undefined);
    await quiet();
    // The write is in the kernel of a node that is given up; its heir finds nothing and takes the append back.
    w.kill(n1);
    await quiet();
    alice.hangUp();
    assert.equal((await alice.resume(n2)).error ?? null, null);
    const again = await alice.reconnect(open, "f");
    assert.equal(await alice.read(again), "content");
    holding = false;
    letGo();
    await quiet();
    assert.equal(await alice.read(again), "content+more", "it lands after all");
    const found = await alice.must(append(again.handle ?? null), { request, replay: true });
    assert.deepEqual([Number(found.write?.offset), found.write?.written], [7, 5]);
    assert.equal(await alice.read(again), "content+more");
    // The same bytes for another call are another append.
    const other = await alice.must(append(again.handle ?? null), { request: alice.requestId() });
    assert.equal(Number(other.write?.offset), 12);
  },
  async appendAgain() {
    const vfs = new MemoryVfs(new MemoryShare(), "n1");
    const file = await vfs.create("f");
    const { fileId } = await file.stat();
    const data = bytes("once");
    const effect = {
      id: 7,
      kind: v1.EffectKind.EFFECT_APPEND,
      path: "f",
      fileId,
      offset: 0,
      length: data.length,
      dataDigest: digestOf(data),
    };
    await performEffect(vfs, effect, data);
    await performEffect(vfs, effect, data).catch(() => {});
    assert.equal((await file.stat()).size, data.length);
  },
};

describe("planted bugs of the file node", () => {
  for (const [name, promise] of Object.entries(promises) as [FilenodeMutant, () => Promise<void>][]) {
    it(`${name}: what it breaks holds without it`, promise);

    it(`${name}: is noticed`, async () => {
      await assert.rejects(withFilenodeMutant(name, promise));
    });
  }
});
