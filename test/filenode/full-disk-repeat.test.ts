import assert from "node:assert/strict";
import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { ErrorCode, errorDetail } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { growsState } from "../../src/replica/growth.js";
import { quiet, TestClient, type TestNode, World } from "./world.js";

/** A coordinator whose leader's disk can be full: then what grows the state never reaches the log. */
class FullDisk {
  full = false;
  /** Effects fail in a way after which the same call may be sent again. */
  effectsFail = false;
  readonly coordinator: CoordinatorClient;

  constructor(inner: CoordinatorClient) {
    this.coordinator = {
      execute: async (command, deadlineMs) =>
        this.full && growsState(v1.Command.encode(command).finish())
          ? { error: errorDetail(ErrorCode.DISK_FULL, "the disk of leader n1 is nearly full") }
          : inner.execute(this.effectsFail ? failing(command) : command, deadlineMs),
      query: (query, deadlineMs) => inner.query(query, deadlineMs),
      watch: (node, listener) => inner.watch(node, listener),
    };
  }
}

function failing(command: v1.ICommand): v1.ICommand {
  const { finishEffect } = command;
  if (!finishEffect) return command;
  return {
    finishEffect: { ...finishEffect, error: errorDetail(ErrorCode.FILE_NOT_AVAILABLE, "it was replaced") },
  };
}

describe("a call whose answer was lost, repeated while the leader's disk is full", () => {
  let world: World;
  let disk: FullDisk;
  let n1: TestNode;
  let alice: TestClient;
  let open: v1.IOpenReply;

  beforeEach(async () => {
    world = new World();
    world.init();
    disk = new FullDisk(world.coordinator.client());
    n1 = await world.start("n1", { coordinator: disk.coordinator });
    alice = await TestClient.make(1).open(n1);
    open = await alice.openFile("file");
  });

  const lock = (offset: number, more: Partial<v1.ILockElement> = {}): v1.IFileRequest => ({
    lock: {
      handle: open.handle ?? null,
      sequenceIndex: 1,
      sequenceNumber: 5,
      elements: [{ offset, length: 1, exclusive: true, ...more }],
    },
  });

  const held = async (): Promise<number[]> => {
    const answer = await world.coordinator.client().query({ file: { share: "demo", path: "file" } });
    return (answer.locks ?? []).map((each) => each.offset ?? 0);
  };

  it("is answered with what was done, and not with a refusal", async () => {
    const request = alice.requestId();
    await alice.must(lock(10), { request });
    disk.full = true;
    const repeated = await alice.must(lock(10), { request, replay: true });
    assert.deepEqual(
      repeated.lock?.held?.map((each) => each.offset),
      [10],
    );
  });

  it("is refused for good when it was never done: no late copy of it is either", async () => {
    const request = alice.requestId();
    disk.full = true;
    await alice.refused(ErrorCode.DISK_FULL, lock(10), { request, replay: true });
    disk.full = false;
    // The first copy has been on its way all the time.
    await alice.refused(ErrorCode.REQUEST_MISMATCH, lock(10), { request });
    assert.deepEqual(await held(), []);
    // Asked what became of it, the record does not say that it was done.
    const said = await alice.must({ resolve: { request } });
    assert.equal(ErrorCode[said.resolve?.response?.error?.code ?? 0], "NO_CHANGE");
    // Its client goes on with the number of the bucket that it has not used.
    await alice.must(lock(20), { request: alice.requestId() });
    assert.deepEqual(await held(), [20]);
  });

  it("that waits for a lock stays open until that is granted", async () => {
    const bob = await TestClient.make(2).open(n1);
    const his = await bob.openFile("file", { createGuid: new Uint8Array(16).fill(9) });
    const elements = [{ offset: 10, length: 1, exclusive: true }];
    await bob.must({ lock: { handle: his.handle ?? null, elements } }, { request: bob.requestId() });
    const request = alice.requestId();
    const first = alice.ask(lock(10), { request });
    await quiet();
    disk.full = true;
    await alice.refused(ErrorCode.OUTCOME_UNKNOWN, lock(10), { request, replay: true });
    const unlock = [{ offset: 10, length: 1, unlock: true, failImmediately: true }];
    await bob.must({ lock: { handle: his.handle ?? null, elements: unlock } }, { request: bob.requestId() });
    assert.equal((await first).error ?? null, null);
    await alice.must(lock(10), { request, replay: true });
  });

  it("is refused at once, and its number not used up, when it is sent for the first time", async () => {
    const request = alice.requestId();
    disk.full = true;
    await alice.refused(ErrorCode.DISK_FULL, lock(10), { request });
    disk.full = false;
    await alice.must(lock(10), { request });
    assert.deepEqual(await held(), [10]);
  });

  it("of an append alike", async () => {
    const request = alice.requestId();
    const append = {
      write: { handle: open.handle ?? null, offset: 0, data: new TextEncoder().encode("a"), append: true },
    };
    await alice.must(append, { request });
    disk.full = true;
    const again = await alice.must(append, { request, replay: true });
    assert.equal(again.write?.offset ?? 0, 0);
    assert.equal(await alice.read(open), "a");
  });

  // Its repeat resumes the handle, if the connection is another one; what is on record does not.
  it("of an open stays open until there is room", async () => {
    const request = alice.requestId();
    const wish = alice.openRequest("second");
    const first = await alice.must(wish, { request });
    disk.full = true;
    await alice.refused(ErrorCode.OUTCOME_UNKNOWN, wish, { request, replay: true });
    disk.full = false;
    const again = await alice.must(wish, { request, replay: true });
    assert.deepEqual(again.open?.handle, first.open?.handle);
  });

  // Cluster seed 11090007: it was answered as done, with nothing in the answer.
  it("that was set back to run again stays open, too", async () => {
    const request = alice.requestId();
    const wish = alice.openRequest("second");
    disk.effectsFail = true;
    await alice.refused(ErrorCode.FILE_NOT_AVAILABLE, wish, { request });
    disk.effectsFail = false;
    disk.full = true;
    await alice.refused(ErrorCode.OUTCOME_UNKNOWN, wish, { request, replay: true });
    disk.full = false;
    const done = await alice.must(wish, { request, replay: true });
    assert.ok(done.open?.handle);
  });
});
