import assert from "node:assert/strict";
import { filenodeLimits } from "../../src/filenode/options.js";
import type { MemoryFaults, MemoryOperation } from "../../src/testing/memory-vfs.js";
import { ErrorCode } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";
import { HeldCommands } from "./held-commands.js";
import { guidOf, quiet, TestClient, type TestNode, World } from "./world.js";

/** A share of which the next operation of a kind can be kept waiting. */
class Gate {
  readonly counts = new Map<MemoryOperation, number>();
  #next: MemoryOperation | null = null;
  #release: (() => void) | null = null;

  readonly faults: MemoryFaults = (operation, _path, phase) => {
    if (phase !== "before") return;
    this.counts.set(operation, (this.counts.get(operation) ?? 0) + 1);
    if (operation !== this.#next) return;
    this.#next = null;
    return new Promise<void>((resolve) => (this.#release = resolve));
  };

  holdNext(operation: MemoryOperation): void {
    this.#next = operation;
  }

  release(): void {
    this.#release?.();
    this.#release = null;
  }
}

/** Resolved with its answer, or null as long as there is none. */
function watched(answer: Promise<v1.IFileResponse>): { response: v1.IFileResponse | null } {
  const seen: { response: v1.IFileResponse | null } = { response: null };
  void answer.then((response) => (seen.response = response));
  return seen;
}

function code(seen: { response: v1.IFileResponse | null }): string {
  if (seen.response === null) return "no answer yet";
  return seen.response.error ? (ErrorCode[seen.response.error.code ?? 0] ?? "?") : "done";
}

/**
 * Whoever opens a file after a handle was closed has it without that handle: nothing that was sent through it may land
 * later, whoever closed it (semantics.md B1.5, D2, D3).
 */
describe("what still runs on a handle that is closed", () => {
  let world: World;
  let gate: Gate;
  let uses: HeldCommands;
  let ends: HeldCommands;
  let connects: HeldCommands;
  let reconnects: HeldCommands;
  let n1: TestNode;
  let n2: TestNode;
  let alice: TestClient;
  let bob: TestClient;
  const instance = (version: number): v1.IAppInstance => ({
    id: guidOf("application"),
    hasVersion: true,
    versionHigh: 1,
    versionLow: version,
  });

  beforeEach(async () => {
    world = new World();
    world.init();
    gate = new Gate();
    uses = new HeldCommands(world.coordinator.client(), "useHandle");
    ends = new HeldCommands(uses.coordinator, "closeSession");
    connects = new HeldCommands(ends.coordinator, "connectSession");
    reconnects = new HeldCommands(connects.coordinator, "reconnectHandle");
    n1 = await world.start("n1", { faults: gate.faults, coordinator: reconnects.coordinator });
    n2 = await world.start("n2");
    alice = await TestClient.make(1).open(n1);
    bob = await TestClient.make(2, "bob").open(n2);
  });

  const writeOf = (open: v1.IOpenReply, text: string): v1.IFileRequest => ({
    write: { handle: open.handle ?? null, offset: 0, data: new TextEncoder().encode(text) },
  });

  /** Two of alice's writes: one that the kernel does not let go before `gate.release()`, and one that waits behind it. */
  async function writesBegun(open: v1.IOpenReply) {
    gate.holdNext("write");
    const inKernel = watched(alice.ask(writeOf(open, "early")));
    const queued = watched(alice.ask(writeOf(open, "queue")));
    await quiet();
    return { inKernel, queued };
  }

  it("a write that comes while its client's close is under way is refused", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    await alice.write(open, 0, "first");
    gate.holdNext("stat");
    const closing = watched(alice.ask({ close: { handle: open.handle ?? null } }));
    await quiet();
    const writes = gate.counts.get("write");
    await alice.refused(ErrorCode.FILE_CLOSED, writeOf(open, "later"));
    gate.release();
    await quiet();
    assert.equal(code(closing), "done");
    const his = await bob.openFile("f", { shareMode: {}, createGuid: guidOf("his") });
    assert.equal(await bob.read(his), "first");
    assert.equal(gate.counts.get("write"), writes);
  });

  it("a close waits for a write that has come before it and is not at the file yet", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    await alice.write(open, 0, "first");
    const go = uses.hold();
    alice.channelSequence += 1;
    const writing = watched(alice.ask(writeOf(open, "later")));
    await quiet();
    assert.equal(code(writing), "no answer yet");
    const closing = watched(alice.ask({ close: { handle: open.handle ?? null } }));
    await quiet();
    assert.equal(code(closing), "no answer yet");
    go();
    await quiet();
    assert.deepEqual([code(writing), code(closing)], ["done", "done"]);
    const his = await bob.openFile("f", { shareMode: {}, createGuid: guidOf("his") });
    assert.equal(await bob.read(his), "later");
  });

  it("the end of a session waits for what runs on its handles, and nothing new begins", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    gate.holdNext("write");
    const writing = watched(alice.ask(writeOf(open, "first")));
    await quiet();
    const ending = watched(alice.ask({ closeSession: {} }));
    await quiet();
    assert.equal(code(ending), "no answer yet");
    await alice.refused(ErrorCode.UNKNOWN_SESSION, writeOf(open, "later"));
    await bob.refused(
      ErrorCode.SHARING_VIOLATION,
      bob.openRequest("f", { shareMode: {}, createGuid: guidOf("his") }),
    );
    gate.release();
    await quiet();
    assert.deepEqual([code(writing), code(ending)], ["done", "done"]);
    const his = await bob.openFile("f", { shareMode: {}, createGuid: guidOf("his again") });
    assert.equal(await bob.read(his), "first");
  });

  it("the end of a session waits for calls that name no handle", async () => {
    gate.holdNext("makeDirectory");
    const making = watched(alice.ask({ makeDirectory: { share: "demo", path: "d" } }));
    await quiet();
    const ending = watched(alice.ask({ closeSession: {} }));
    await quiet();
    assert.equal(code(ending), "no answer yet");
    gate.release();
    await quiet();
    assert.deepEqual([code(making), code(ending)], ["done", "done"]);
  });

  it("nothing begins while one of two ends of a session is under way and the other has failed", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    await alice.write(open, 0, "first");
    const go = ends.hold();
    const [first, second] = [
      watched(alice.ask({ closeSession: {} })),
      watched(alice.ask({ closeSession: {} })),
    ];
    await quiet();
    ends.failNext();
    await quiet();
    assert.deepEqual([code(first), code(second)], ["NO_QUORUM", "no answer yet"]);
    const writes = gate.counts.get("write");
    await alice.refused(ErrorCode.UNKNOWN_SESSION, writeOf(open, "later"));
    assert.equal(gate.counts.get("write"), writes);
    go();
    await quiet();
    assert.equal(code(second), "done");
  });

  for (const where of ["at another node", "at the same node"])
    it(`a takeover by another instance waits for the write that is in the kernel ${where}`, async () => {
      const open = await alice.openFile("f", { shareMode: {}, appInstance: instance(1) });
      await alice.write(open, 0, "first");
      const { inKernel, queued } = await writesBegun(open);
      const heir = where === "at another node" ? bob : await TestClient.make(3, "carol").open(n1);
      const wanted = { shareMode: {}, appInstance: instance(2), createGuid: guidOf("heir") };
      const taking = watched(heir.ask(heir.openRequest("f", wanted), { request: heir.requestId() }));
      await quiet();
      assert.equal(code(taking), "no answer yet", "alice's write may still land");
      await alice.refused(ErrorCode.FILE_CLOSED, writeOf(open, "never"));
      gate.release();
      await quiet();
      assert.equal(code(taking), "done");
      assert.equal(code(queued), "FILE_CLOSED");
      assert.notEqual(code(inKernel), "no answer yet");
      const his = taking.response?.open ?? {};
      await heir.write(his, 0, "heir");
      await quiet();
      assert.equal(await heir.read(his), "heiry");
    });

  it("nobody else is let in before the writes of the instance that was closed have ended", async () => {
    const open = await alice.openFile("f", { shareMode: {}, appInstance: instance(1) });
    await alice.write(open, 0, "first");
    gate.holdNext("write");
    void alice.ask(writeOf(open, "early"));
    await quiet();
    const second = { appInstance: instance(2), createGuid: guidOf("second") };
    const taking = watched(bob.ask(bob.openRequest("f", second), { request: bob.requestId() }));
    await quiet();
    const carol = await TestClient.make(3, "carol").open(n2);
    const other = watched(carol.ask(carol.openRequest("f", { createGuid: guidOf("carol") })));
    const dave = await TestClient.make(4, "dave").open(n2);
    const third = { appInstance: instance(3), createGuid: guidOf("third") };
    const takingAgain = watched(dave.ask(dave.openRequest("f", third), { request: dave.requestId() }));
    await quiet();
    assert.equal(code(taking), "FILE_FORCED_CLOSED", "a newer instance took its place");
    assert.equal(code(other), "no answer yet", "alice's write may still land");
    assert.equal(code(takingAgain), "no answer yet", "alice's write may still land");
    gate.release();
    await quiet();
    assert.deepEqual([code(other), code(takingAgain)], ["done", "done"]);
  });

  it("a takeover goes on when the node with the old open is down", async () => {
    const open = await alice.openFile("f", { shareMode: {}, appInstance: instance(1) });
    gate.holdNext("write");
    void alice.ask(writeOf(open, "early"));
    await quiet();
    const wanted = { shareMode: {}, appInstance: instance(2), createGuid: guidOf("heir") };
    const taking = watched(bob.ask(bob.openRequest("f", wanted), { request: bob.requestId() }));
    await quiet();
    assert.equal(code(taking), "no answer yet");
    world.kill(n1);
    await quiet();
    assert.equal(code(taking), "done");
  });

  for (const where of ["at another node", "at the same node"])
    it(`a session that replaces another ${where} waits for the write that is in the kernel`, async () => {
      const open = await alice.openFile("f", { shareMode: {} });
      await alice.write(open, 0, "first");
      const { inKernel, queued } = await writesBegun(open);
      const next = TestClient.make(1);
      const there = where === "at another node" ? n2 : n1;
      const replacing = watched(next.askForSession(there, Number(alice.info.sessionId)));
      await quiet();
      assert.equal(code(replacing), "no answer yet", "the old connection's write may still land");
      await alice.refused(ErrorCode.CANCELLED, writeOf(open, "never"));
      gate.release();
      await quiet();
      assert.equal(code(replacing), "done");
      assert.notEqual(code(inKernel), "no answer yet");
      assert.notEqual(code(queued), "no answer yet");
      assert.equal(
        world.coordinator.state.session(Number(alice.info.sessionId))?.replacedBy,
        next.info.sessionId,
      );
      const his = await next.reconnect(open, "f");
      await next.write(his, 0, "next");
      await quiet();
      assert.equal((await next.read(his)).slice(0, 4), "next");
    });

  it("a session replaces another at once when the owner of that one is down", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    gate.holdNext("write");
    void alice.ask(writeOf(open, "early"));
    await quiet();
    const next = TestClient.make(1);
    const replacing = watched(next.askForSession(n2, Number(alice.info.sessionId)));
    await quiet();
    assert.equal(code(replacing), "no answer yet");
    world.kill(n1);
    await quiet();
    assert.equal(code(replacing), "done");
    await next.reconnect(open, "f");
  });

  it("nothing is replaced while the owner does not come to an end; its client comes back", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    gate.holdNext("write");
    void alice.ask(writeOf(open, "early"));
    await quiet();
    const next = TestClient.make(1);
    const replacing = watched(next.askForSession(n2, Number(alice.info.sessionId)));
    for (let waitedMs = 0; waitedMs < filenodeLimits.drainMs; waitedMs += 100) {
      await quiet();
      assert.equal(code(replacing), "no answer yet");
      world.time.advance(100);
    }
    await quiet();
    assert.equal(code(replacing), "NOT_READY");
    gate.release();
    await quiet();
    assert.equal((await alice.resume(n1)).error ?? null, null);
    assert.equal(await alice.read(await alice.reconnect(open, "f")), "early");
  });

  it("a connection that was ended before its answer came is not taken up", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    alice.hangUp();
    await quiet();
    const answers = connects.holdAnswers();
    const resuming = watched(alice.resume(n1));
    await quiet();
    const next = TestClient.make(1);
    const replacing = watched(next.askForSession(n2, Number(alice.info.sessionId)));
    await quiet();
    assert.equal(code(replacing), "done");
    answers();
    await quiet();
    assert.equal(code(resuming), "NOT_READY");
    await next.reconnect(open, "f");
  });

  const forceClose = (open: v1.IOpenReply): string => {
    const handleId = open.handle?.persistent ?? null;
    const { error } = world.coordinator.apply({
      forceClose: { handleId, reason: "stuck", requestedBy: "ops", whenIdle: true },
    });
    return error ? (ErrorCode[error.code ?? 0] ?? "?") : "done";
  };

  it("an operator's close waits for the write that is in the kernel, and nothing new begins", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    await alice.write(open, 0, "first");
    gate.holdNext("write");
    const inKernel = watched(alice.ask(writeOf(open, "early")));
    await quiet();
    assert.equal(forceClose(open), "NOT_READY");
    await quiet();
    assert.equal(forceClose(open), "NOT_READY", "the write may still land");
    await alice.refused(ErrorCode.FILE_CLOSED, writeOf(open, "never"));
    const his = { shareMode: {}, createGuid: guidOf("his") };
    await bob.refused(ErrorCode.SHARING_VIOLATION, bob.openRequest("f", his));
    gate.release();
    await quiet();
    assert.equal(code(inKernel), "done");
    assert.equal(forceClose(open), "NO_CHANGE");
    assert.ok(alice.notices.some((notice) => notice.handleClosed));
    const record = world.coordinator.state.handle(open.handle?.persistent ?? new Uint8Array(0));
    assert.equal(record?.closeReason, "closed by ops: stuck");
    await alice.refused(ErrorCode.FILE_CLOSED, { close: { handle: open.handle ?? null } });
    await bob.openFile("f", { ...his, createGuid: guidOf("his again") });
  });

  it("an operator's close goes on when the node that serves the handle is down", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    gate.holdNext("write");
    void alice.ask(writeOf(open, "early"));
    await quiet();
    assert.equal(forceClose(open), "NOT_READY");
    world.kill(n1);
    assert.equal(forceClose(open), "done");
  });

  it("a handle that was closed before the answer to its resume came is not taken in", async () => {
    const open = await alice.openFile("f", { shareMode: {} });
    await alice.write(open, 0, "first");
    alice.hangUp();
    await quiet();
    assert.equal((await alice.resume(n1)).error ?? null, null);
    const answers = reconnects.holdAnswers();
    const handleId = open.handle?.persistent ?? null;
    const reconnect = { handleId, createGuid: guidOf("f"), persistent: true, path: "f" };
    const resuming = watched(alice.ask({ reconnect }));
    await quiet();
    assert.equal(forceClose(open), "NOT_READY");
    await quiet();
    assert.equal(forceClose(open), "NO_CHANGE");
    answers();
    await quiet();
    assert.equal(code(resuming), "FILE_CLOSED");
  });
});
