import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { ErrorCode } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";
import { guidOf, quiet, TestClient, type TestNode, World } from "./world.js";

describe("an answer to an open that comes late", () => {
  /** Opens are carried out at once, and answered when this is over. */
  let until: Promise<void> | null = null;
  let answer: () => void;
  let alice: TestClient;
  let bob: TestClient;
  let mine: v1.IOpenReply;
  let other: v1.IOpenReply;
  let n2: TestNode;

  function late(coordinator: CoordinatorClient): CoordinatorClient {
    return {
      execute: async (command, deadlineMs) => {
        const result = await coordinator.execute(command, deadlineMs);
        if (command.openHandle) await until;
        return result;
      },
      query: (query, deadlineMs) => coordinator.query(query, deadlineMs),
      watch: (node, listener) => coordinator.watch(node, listener),
    };
  }

  beforeEach(async () => {
    until = null;
    const world = new World();
    world.init();
    const n1 = await world.start("n1", { coordinator: late(world.coordinator.client()) });
    n2 = await world.start("n2");
    alice = await TestClient.make(1).open(n1);
    bob = await TestClient.make(2, "bob").open(n1);
    // The node has the file open all the while, unless the case closes it.
    other = await alice.openFile("f", { createGuid: guidOf("other") });
    mine = await alice.openFile("f");
    await alice.write(mine, 0, "0123456789");
    until = new Promise((resolve) => (answer = resolve));
  });

  const lock = (unlock = false) =>
    alice.must(
      {
        lock: {
          handle: mine.handle ?? null,
          elements: [{ offset: 2, length: 3, exclusive: !unlock, unlock }],
        },
      },
      { request: alice.requestId() },
    );

  it("does not take back a lock that was granted at the same node meanwhile", async () => {
    const opening = bob.openFile("f", { createGuid: guidOf("bob") });
    await quiet();
    await lock();
    answer();
    const his = await opening;
    const handle = his.handle ?? null;
    await bob.refused(ErrorCode.FILE_LOCK_CONFLICT, { read: { handle, offset: 0, length: 10 } });
    await bob.refused(ErrorCode.FILE_LOCK_CONFLICT, {
      write: { handle, offset: 4, data: new Uint8Array(1) },
    });
  });

  it("does not bring back a lock that was released meanwhile", async () => {
    await lock();
    const opening = bob.openFile("f", { createGuid: guidOf("bob") });
    await quiet();
    await lock(true);
    answer();
    await bob.write(await opening, 2, "x");
  });

  it("does not bring back the lock of a handle that was closed meanwhile", async () => {
    await lock();
    const opening = bob.openFile("f", { createGuid: guidOf("bob") });
    await quiet();
    await alice.must({ close: { handle: mine.handle ?? null } }, { request: alice.requestId() });
    answer();
    await bob.write(await opening, 2, "x");
  });

  for (const [order, first, last] of [
    ["the lock's handle last", () => other, () => mine],
    ["the lock's handle first", () => mine, () => other],
  ] as const) {
    it(`does not bring back the lock of a file that nobody here had open in between, ${order}`, async () => {
      await lock();
      const opening = bob.openFile("f", { createGuid: guidOf("bob") });
      await quiet();
      for (const open of [first(), last()])
        await alice.must({ close: { handle: open.handle ?? null } }, { request: alice.requestId() });
      await quiet();
      answer();
      await bob.write(await opening, 2, "x");
    });
  }

  /** Closes what the node has of the file, while the answer to another open of it is still on its way. */
  async function closeAll(): Promise<void> {
    for (const open of [mine, other])
      await alice.must({ close: { handle: open.handle ?? null } }, { request: alice.requestId() });
    await quiet();
  }

  it("knows the lock that another node was granted while the file was open here for somebody else", async () => {
    const opening = bob.openFile("f", { createGuid: guidOf("bob") });
    await quiet();
    const carol = await TestClient.make(3, "carol").open(n2);
    const { handle } = await carol.openFile("f", { createGuid: guidOf("carol") });
    const elements = [{ offset: 2, length: 3, exclusive: true, failImmediately: true }];
    await carol.must({ lock: { handle: handle ?? null, elements } }, { request: carol.requestId() });
    await closeAll();
    answer();
    const his = (await opening).handle ?? null;
    await bob.refused(ErrorCode.FILE_LOCK_CONFLICT, { read: { handle: his, offset: 0, length: 10 } });
    await bob.refused(ErrorCode.FILE_LOCK_CONFLICT, {
      write: { handle: his, offset: 4, data: new Uint8Array(1) },
    });
  });

  it("does not bring back a lock that another node released while the file was open here for somebody else", async () => {
    const carol = await TestClient.make(3, "carol").open(n2);
    const { handle } = await carol.openFile("f", { createGuid: guidOf("carol") });
    const range = { offset: 2, length: 3 };
    const take = { handle: handle ?? null, elements: [{ ...range, exclusive: true, failImmediately: true }] };
    await carol.must({ lock: take }, { request: carol.requestId() });
    const opening = bob.openFile("f", { createGuid: guidOf("bob") });
    await quiet();
    const give = { handle: handle ?? null, elements: [{ ...range, unlock: true }] };
    await carol.must({ lock: give }, { request: carol.requestId() });
    await closeAll();
    answer();
    await bob.write(await opening, 2, "x");
  });
});
