import assert from "node:assert/strict";
import type { MemoryFaults } from "../../src/testing/memory-vfs.js";
import { ErrorCode } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";
import { HeldCommands } from "./held-commands.js";
import { guidOf, quiet, TestClient, type TestNode, World } from "./world.js";

/** Beyond what stands in the file: there the append of another closes it. */
const OFFSET = 100;

/** Writes of a node, which the test can keep in the kernel. */
class Kernel {
  writes = 0;
  #holding = false;
  readonly #held: (() => void)[] = [];

  readonly faults: MemoryFaults = (operation, _path, phase) => {
    if (operation !== "write" || phase !== "before") return;
    this.writes += 1;
    if (!this.#holding) return;
    this.#holding = false;
    return new Promise<void>((resolve) => void this.#held.push(resolve));
  };

  /** The next write stays until `release`. */
  holdNext(hold = true): void {
    this.#holding = hold;
  }

  release(): void {
    for (const land of this.#held.splice(0)) land();
  }
}

/**
 * A write behind the end of a file waits for an append at another node. It does not count as running meanwhile: what waits
 * for the end of all that runs (a new connection, a session that leaves) does not wait for it. Carried out after that it
 * would land over what its client has written since.
 */
describe("a write that is parked while its client goes on without it", () => {
  let world: World;
  let kernel: Kernel;
  let kernelOfBob: Kernel;
  let n1: TestNode;
  let n2: TestNode;
  let alice: TestClient;
  let open: v1.IOpenReply;
  let appended: Promise<v1.IFileResponse>;
  let connects: HeldCommands;
  let handleEnds: HeldCommands;
  let sessionEnds: HeldCommands;

  beforeEach(async () => {
    world = new World();
    world.init();
    kernel = new Kernel();
    kernelOfBob = new Kernel();
    connects = new HeldCommands(world.coordinator.client(), "connectSession");
    handleEnds = new HeldCommands(connects.coordinator, "closeHandle");
    sessionEnds = new HeldCommands(handleEnds.coordinator, "closeSession");
    n1 = await world.start("n1", { faults: kernel.faults, coordinator: sessionEnds.coordinator });
    n2 = await world.start("n2", { faults: kernelOfBob.faults });
    alice = await TestClient.make(1).open(n1);
    open = await alice.openFile("f");
    const bob = await TestClient.make(2, "bob").open(n2);
    const his = await bob.openFile("f", { createGuid: guidOf("bob") });
    kernelOfBob.holdNext();
    const data = new TextEncoder().encode("bob's");
    appended = bob.ask({ write: { handle: his.handle ?? null, append: true, data } });
    await quiet();
    assert.equal(kernelOfBob.writes, 1, "the append is under way");
  });

  /** Alice writes, and waits for bob. */
  async function write(text: string, deadlineMs = 0): Promise<{ answer: Promise<v1.IFileResponse> }> {
    const data = new TextEncoder().encode(text);
    const answer = alice.ask({ deadlineMs, write: { handle: open.handle ?? null, offset: OFFSET, data } });
    await quiet();
    assert.equal(kernel.writes, 0, "nothing is written before the append has ended");
    return { answer };
  }

  /** Bob's append ends, and what waits for that wakes up; what it writes stays in the kernel. */
  async function wake(): Promise<void> {
    kernel.holdNext();
    kernelOfBob.release();
    await appended;
    await quiet();
    kernel.holdNext(false);
  }

  /** Alice repeats the write and goes on; then what was held lands. */
  async function goOn(node: TestNode): Promise<string> {
    const again = await alice.reconnect(open, "f");
    await alice.write(again, OFFSET, "old");
    await alice.write(again, OFFSET, "new");
    kernel.release();
    await quiet();
    const file = await node.vfs.open("f", { write: false });
    const content = new TextDecoder().decode(await file.read(OFFSET, 100));
    await file.close();
    return content;
  }

  async function refused(answer: Promise<v1.IFileResponse>, code: ErrorCode): Promise<void> {
    const { error } = await answer;
    assert.equal(ErrorCode[error?.code ?? 0], ErrorCode[code], error?.message ?? "it was written");
  }

  it("is carried out when nothing came between", async () => {
    const { answer } = await write("old");
    await wake();
    kernel.release();
    assert.equal((await answer).write?.written, 3);
    assert.equal(await alice.read(open, OFFSET), "old");
  });

  it("is not carried out after its client has connected again at the same node", async () => {
    const { answer } = await write("old");
    // The node hears of the new connection before it hears that the old one broke.
    const resumed = await alice.resume(n1);
    assert.equal(resumed.error ?? null, null);
    await wake();
    assert.equal(await goOn(n1), "new");
    await refused(answer, ErrorCode.CANCELLED);
  });

  it("is not carried out while the entry that connects its client again is on its way", async () => {
    const { answer } = await write("old");
    const connect = connects.hold();
    const resuming = alice.resume(n1);
    await quiet();
    await wake();
    connect();
    assert.equal((await resuming).error ?? null, null);
    assert.equal(await goOn(n1), "new");
    await refused(answer, ErrorCode.CANCELLED);
  });

  it("is not carried out after its session was let go for its client to settle elsewhere", async () => {
    const { answer } = await write("old");
    alice.hangUp();
    await quiet();
    await wake();
    assert.equal((await alice.resume(n2)).error ?? null, null);
    assert.equal(await goOn(n2), "new");
    await refused(answer, ErrorCode.CANCELLED);
  });

  it("is not carried out while its session is handed over", async () => {
    const { answer } = await write("old");
    const sessionId = Number(alice.info.sessionId);
    const item = { sessionId, from: "n1", to: "n2" };
    world.coordinator.apply({ beginOperation: { operation: { id: "op", kind: "transfer", items: [item] } } });
    const owner = world.coordinator.state.session(sessionId);
    const fence = {
      sessionId,
      epoch: owner?.epoch ?? 0,
      node: "n1",
      nodeIncarnation: n1.lease.incarnation,
    };
    const frozen = world.coordinator.apply({ freezeSession: { fence, operationId: "op" } });
    assert.equal(frozen.error ?? null, null, frozen.error?.message ?? "");
    await wake();
    alice.hangUp();
    await quiet();
    assert.equal(world.coordinator.state.session(sessionId)?.owner, "n2");
    assert.equal((await alice.resume(n2)).error ?? null, null);
    assert.equal(await goOn(n2), "new");
    assert.ok((await answer).error);
  });

  it("is not carried out after its client was told that its deadline had passed", async () => {
    const { answer } = await write("old", 50);
    world.time.advance(60);
    await refused(answer, ErrorCode.DEADLINE_EXCEEDED);
    await wake();
    kernel.release();
    assert.equal(kernel.writes, 0);
  });

  it("is not carried out after its handle was closed", async () => {
    const { answer } = await write("old");
    await alice.must({ close: { handle: open.handle ?? null } });
    await wake();
    kernel.release();
    await refused(answer, ErrorCode.CANCELLED);
    assert.equal(kernel.writes, 0);
  });

  const ends = {
    "closes its handle": [ErrorCode.FILE_CLOSED, "closeHandle"],
    "ends its session": [ErrorCode.UNKNOWN_SESSION, "closeSession"],
  } as const;
  for (const [does, [code, kind]] of Object.entries(ends))
    it(`is not carried out while the entry that ${does} is on its way`, async () => {
      const { answer } = await write("old");
      const go = (kind === "closeHandle" ? handleEnds : sessionEnds).hold();
      const close = { handle: open.handle ?? null };
      const ending = alice.ask(kind === "closeHandle" ? { close } : { closeSession: {} });
      await quiet();
      await wake();
      kernel.release();
      assert.equal(kernel.writes, 0, "others have the file as soon as the entry arrives");
      go();
      assert.equal((await ending).error ?? null, null);
      await refused(answer, code);
    });
});
