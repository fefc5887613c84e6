import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { ErrorCode } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";
import { guidOf, quiet, TestClient, World } from "./world.js";

describe("an answer to an open that comes late", () => {
  /** Opens are carried out at once, and answered when this is over. */
  let until: Promise<void> | null = null;
  let answer: () => void;
  let alice: TestClient;
  let bob: TestClient;
  let mine: v1.IOpenReply;

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
    alice = await TestClient.make(1).open(n1);
    bob = await TestClient.make(2, "bob").open(n1);
    // The node has the file open all the while.
    await alice.openFile("f", { createGuid: guidOf("other") });
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
});
