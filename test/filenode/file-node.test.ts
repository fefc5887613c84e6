import assert from "node:assert/strict";
import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { guidOf, quiet, TestClient, type TestNode, World } from "./world.js";

describe("a file node", () => {
  let world: World;
  let n1: TestNode;
  let n2: TestNode;
  let alice: TestClient;

  beforeEach(async () => {
    world = new World();
    world.init();
    n1 = await world.start("n1");
    n2 = await world.start("n2");
    alice = await TestClient.make(1).open(n1);
  });

  it("opens, writes, reads, stats, lists and closes", async () => {
    const open = await alice.openFile("f");
    assert.equal(open.createAction, v1.CreateAction.CREATED);
    assert.equal(open.kind, v1.HandleKind.PERSISTENT);
    await alice.write(open, 0, "hello");
    assert.equal(await alice.read(open), "hello");
    const stat = await alice.must({ stat: { share: "demo", path: "f" } });
    assert.equal(stat.stat?.info?.size, 5);
    const list = await alice.must({ list: { share: "demo", path: "" } });
    assert.deepEqual(
      list.list?.entries?.map((entry) => [entry.name, entry.size]),
      [["f", 5]],
    );
    const close = await alice.must(
      { close: { handle: open.handle ?? null } },
      { request: alice.requestId() },
    );
    assert.equal(close.close?.info?.size, 5);
    await alice.refused(ErrorCode.FILE_CLOSED, {
      read: { handle: open.handle ?? null, offset: 0, length: 1 },
    });
  });

  it("answers a close that comes again as it answered the first", async () => {
    const open = await alice.openFile("f");
    await alice.write(open, 0, "hello");
    const id = alice.requestId();
    const first = await alice.must({ close: { handle: open.handle ?? null } }, { request: id });
    const again = await alice.must({ close: { handle: open.handle ?? null } }, { request: id, replay: true });
    assert.deepEqual(again.close, first.close);
  });

  it("answers a create that comes again with the same handle, and creates once", async () => {
    const id = alice.requestId();
    const request = alice.openRequest("f", { disposition: v1.Disposition.CREATE });
    const first = await alice.must(request, { request: id });
    const again = await alice.must(request, { request: id, replay: true });
    assert.deepEqual(again.open?.handle?.persistent, first.open?.handle?.persistent);
    assert.equal(again.open?.createAction, v1.CreateAction.CREATED);
  });

  it("appends once, however often it is sent", async () => {
    const open = await alice.openFile("log");
    const append = (text: string): v1.IFileRequest => ({
      write: { handle: open.handle ?? null, append: true, data: new TextEncoder().encode(text) },
    });
    const id = alice.requestId();
    const first = await alice.must(append("one;"), { request: id });
    const again = await alice.must(append("one;"), { request: id, replay: true });
    assert.deepEqual([again.write?.offset, again.write?.written], [0, 4]);
    assert.deepEqual([first.write?.offset, first.write?.written], [0, 4]);
    const second = await alice.must(append("two;"), { request: alice.requestId() });
    assert.deepEqual([second.write?.offset, second.write?.written], [4, 4]);
    assert.equal(await alice.read(open), "one;two;");
    await alice.refused(ErrorCode.REQUEST_MISMATCH, append("other"), { request: { slot: 0, sequence: 3 } });
  });

  // Cluster seed 68: the intent was in the log, the node that began it caught up by a snapshot and never heard of that.
  it("ends an effect that a snapshot skipped", async () => {
    const open = await alice.openFile("log");
    const append: v1.IFileRequest = {
      write: { handle: open.handle ?? null, append: true, data: new TextEncoder().encode("one;") },
    };
    const request = alice.requestId();
    world.coordinator.muted = true;
    void alice.must(append, { request }).catch(() => undefined);
    await quiet();
    world.coordinator.muted = false;
    assert.equal([...world.coordinator.state.effects()].length, 1);
    world.coordinator.resync();
    await quiet();
    world.time.advance(1000);
    await quiet();
    assert.deepEqual([...world.coordinator.state.effects()], []);
  });

  it("keeps appends of several handles apart", async () => {
    const bob = await TestClient.make(2, "bob").open(n2);
    const mine = await alice.openFile("log");
    const his = await bob.openFile("log", { createGuid: guidOf("bob") });
    const append = (client: TestClient, open: v1.IOpenReply, text: string, slot: number) =>
      client.must(
        { write: { handle: open.handle ?? null, append: true, data: new TextEncoder().encode(text) } },
        { request: client.requestId(slot) },
      );
    await Promise.all(
      Array.from({ length: 10 }, (_, i) => [
        append(alice, mine, `a${i};`, i),
        append(bob, his, `b${i};`, i),
      ]).flat(),
    );
    const words = (await alice.read(mine)).split(";").filter((word) => word !== "");
    assert.deepEqual(
      [...words].sort(),
      [...words.keys()].map((i) => (i < 10 ? `a${i}` : `b${i - 10}`)).sort(),
    );
  });

  it("renames, links, truncates, makes and removes folders", async () => {
    const open = await alice.openFile("f");
    await alice.write(open, 0, "content");
    const handle = open.handle ?? null;
    await alice.must({ makeDirectory: { share: "demo", path: "d" } }, { request: alice.requestId() });
    await alice.must({ rename: { handle, targetPath: "d/g" } }, { request: alice.requestId() });
    await alice.must({ link: { handle, targetPath: "h" } }, { request: alice.requestId() });
    await alice.must({ setInfo: { handle, endOfFile: 3 } }, { request: alice.requestId() });
    assert.equal(await alice.read(open), "con");
    await alice.refused(
      ErrorCode.DIRECTORY_NOT_EMPTY,
      { remove: { share: "demo", path: "d", directory: true } },
      { request: alice.requestId() },
    );
    await alice.must({ close: { handle } }, { request: alice.requestId() });
    const id = alice.requestId();
    await alice.must({ remove: { share: "demo", path: "d/g" } }, { request: id });
    await alice.must({ remove: { share: "demo", path: "d/g" } }, { request: id, replay: true });
    await alice.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, { remove: { share: "demo", path: "d/g" } });
    await alice.must(
      { remove: { share: "demo", path: "d", directory: true } },
      { request: alice.requestId() },
    );
    assert.equal((await n1.vfs.stat("h"))?.size, 3);
    assert.equal(await n1.vfs.stat("d"), null);
  });

  // Somebody else has recorded the outcome, or an earlier copy of the same record has: the node looks at the names again,
  // and meets what it did itself.
  it("answers what it did when the outcome is on record already", async () => {
    const client = world.coordinator.client();
    const coordinator: CoordinatorClient = {
      ...client,
      execute: async (command, deadlineMs) => {
        if (command.finishEffect) await client.execute(command, deadlineMs);
        return client.execute(command, deadlineMs);
      },
    };
    const bob = await TestClient.make(2).open(await world.start("n3", { coordinator }));
    const must = (request: v1.IFileRequest) => bob.must(request, { request: bob.requestId() });
    const { open } = await must(bob.openRequest("once", { disposition: v1.Disposition.CREATE }));
    assert.equal(open?.createAction, v1.CreateAction.CREATED);
    await must({ close: { handle: open?.handle ?? null } });
    await must({ rename: { share: "demo", path: "once", targetPath: "twice" } });
    await must({ remove: { share: "demo", path: "twice" } });
    await must({ makeDirectory: { share: "demo", path: "folder" } });
    await must({ remove: { share: "demo", path: "folder", directory: true } });
    await bob.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, { remove: { share: "demo", path: "twice" } });
  });

  it("deletes at close what is marked, for both marks", async () => {
    const initial = await alice.openFile("a", { deleteOnClose: true });
    await alice.must({ close: { handle: initial.handle ?? null } }, { request: alice.requestId() });
    assert.equal(await n1.vfs.stat("a"), null);
    const set = await alice.openFile("b");
    await alice.must(
      { setInfo: { handle: set.handle ?? null, deleteOnClose: true } },
      { request: alice.requestId() },
    );
    await alice.refused(ErrorCode.DELETE_PENDING, alice.openRequest("b", { createGuid: guidOf("other") }));
    await alice.must({ close: { handle: set.handle ?? null } }, { request: alice.requestId() });
    assert.equal(await n1.vfs.stat("b"), null);
  });

  it("enforces byte-range locks on I/O, at other nodes too", async () => {
    const bob = await TestClient.make(2, "bob").open(n2);
    const mine = await alice.openFile("f");
    const his = await bob.openFile("f", { createGuid: guidOf("bob") });
    await alice.write(mine, 0, "0123456789");
    await alice.must(
      { lock: { handle: mine.handle ?? null, elements: [{ offset: 2, length: 3, exclusive: true }] } },
      { request: alice.requestId() },
    );
    await alice.write(mine, 2, "x");
    await bob.refused(ErrorCode.FILE_LOCK_CONFLICT, {
      write: { handle: his.handle ?? null, offset: 4, data: new Uint8Array(1) },
    });
    await bob.refused(ErrorCode.FILE_LOCK_CONFLICT, {
      read: { handle: his.handle ?? null, offset: 0, length: 10 },
    });
    await bob.write(his, 5, "y");
    await alice.must({ close: { handle: mine.handle ?? null } }, { request: alice.requestId() });
    await quiet();
    assert.equal(await bob.read(his), "01x34y6789");
  });

  it("gives a waiting lock when it is free, and CANCELLED when it is cancelled", async () => {
    const bob = await TestClient.make(2, "bob").open(n2);
    const mine = await alice.openFile("f");
    const his = await bob.openFile("f", { createGuid: guidOf("bob") });
    const lock = (open: v1.IOpenReply, unlock = false): v1.IFileRequest => ({
      lock: { handle: open.handle ?? null, elements: [{ offset: 0, length: 1, exclusive: !unlock, unlock }] },
    });
    await alice.must(lock(mine), { request: alice.requestId() });
    const waiting = bob.ask(lock(his), { id: 77, request: bob.requestId() });
    await quiet();
    await bob.must({ cancel: { callId: 77 } });
    assert.equal((await waiting).error?.code, ErrorCode.CANCELLED);
    const second = bob.ask(lock(his), { id: 78, request: bob.requestId() });
    await quiet();
    await alice.must(lock(mine, true), { request: alice.requestId() });
    const granted = await second;
    assert.equal(granted.error ?? null, null, granted.error?.message ?? "");
    assert.equal(granted.lock?.held?.length, 1);
    await alice.refused(ErrorCode.FILE_LOCK_CONFLICT, {
      write: { handle: mine.handle ?? null, offset: 0, data: new Uint8Array(1) },
    });
  });

  it("lets go of a call that waits when its session leaves: its end is told to the new owner", async () => {
    const bob = await TestClient.make(2, "bob").open(n2);
    const mine = await alice.openFile("f");
    const his = await bob.openFile("f", { createGuid: guidOf("bob") });
    const elements = [{ offset: 0, length: 4, exclusive: true }];
    await bob.must({ lock: { handle: his.handle ?? null, elements } }, { request: bob.requestId() });
    const waiting = alice.ask(
      { lock: { handle: mine.handle ?? null, elements } },
      { request: alice.requestId() },
    );
    await quiet();
    world.nodeDown(n1);
    const ended = await Promise.race([waiting, quiet().then(() => null)]);
    assert.ok(ended !== null, "it waits for ever");
    assert.equal(ErrorCode[ended.error?.code ?? 0], "STALE_EPOCH");
  });

  it("breaks the leases of others before it writes, and asks the log once", async () => {
    const bob = await TestClient.make(2, "bob").open(n2);
    const mine = await alice.openFile("f");
    await alice.write(mine, 0, "old");
    await bob.openFile("f", {
      createGuid: guidOf("bob"),
      lease: { key: guidOf("lease"), state: 1, version: 2 },
      desiredAccess: 1,
    });
    await quiet();
    bob.notices.length = 0;
    await alice.write(mine, 0, "new");
    await quiet();
    const before = world.coordinator.revision;
    await alice.write(mine, 0, "newer");
    assert.equal(world.coordinator.revision, before, "a second write went through the log");
  });

  it("refuses everything without its lease, before and after the work", async () => {
    const open = await alice.openFile("f");
    n1.lease.held = false;
    await alice.refused(ErrorCode.LEASE_LOST, {
      read: { handle: open.handle ?? null, offset: 0, length: 1 },
    });
    await alice.refused(ErrorCode.LEASE_LOST, alice.openRequest("g"));
    await alice.refused(ErrorCode.LEASE_LOST, { list: { share: "demo", path: "" } });
    n1.lease.held = true;
    assert.equal(await alice.read(open), "");
  });

  it("changes nothing more in the middle of an effect once its lease is gone", async () => {
    const changes = ["write", "truncate", "create", "link", "rename", "unlink", "copy"];
    let stopAt = Number.POSITIVE_INFINITY;
    let steps = 0;
    const late: string[] = [];
    const stopped = await world.start("n3", {
      faults: (operation, path, phase) => {
        if (phase === "before" && changes.includes(operation) && !stopped.lease.held)
          late.push(`${operation} ${path}`);
        // The process is stopped behind this operation until its lease is over.
        if (phase === "after" && ++steps === stopAt) stopped.lease.held = false;
      },
    });
    const append = (open: v1.IOpenReply, text: string) => ({
      write: { handle: open.handle ?? null, append: true, data: new TextEncoder().encode(text) },
    });
    for (let step = 1; stopAt === Number.POSITIVE_INFINITY || !stopped.lease.held; step++) {
      stopped.lease.held = true;
      stopAt = Number.POSITIVE_INFINITY;
      const carol = await TestClient.make(10 + step, "carol").open(stopped);
      const log = await carol.openFile(`log-${step}`);
      await carol.must(append(log, "first"));
      steps = 0;
      stopAt = step;
      await carol.ask(append(log, "late"), { request: carol.requestId() });
      if (step === 1) assert.equal(stopped.lease.held, false, "an append takes a step at least");
    }
    assert.deepEqual(late, []);
  });

  it("records the outcome of an effect later when the log could not take it, though nobody asks again", async () => {
    const coordinator = world.coordinator.client();
    let refusals = 0;
    const n3 = await world.start("n3", {
      coordinator: {
        ...coordinator,
        execute: (command, deadlineMs) =>
          command.finishEffect && refusals-- > 0
            ? Promise.resolve({ error: { code: ErrorCode.NO_QUORUM, message: "no leader" } })
            : coordinator.execute(command, deadlineMs),
      },
    });
    const carol = await TestClient.make(3, "carol").open(n3);
    const log = await carol.openFile("log");
    refusals = 1;
    const append = { handle: log.handle ?? null, append: true, data: new TextEncoder().encode("once") };
    await carol.refused(ErrorCode.OUTCOME_UNKNOWN, { write: append }, { request: carol.requestId() });
    const pending = () => [...world.coordinator.state.effects()].length;
    assert.equal(pending(), 1);
    for (let i = 0; i < 20 && pending() > 0; i++) {
      world.time.advance(100);
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    }
    assert.equal(pending(), 0, "the effect blocks its file for ever");
    assert.equal(Buffer.from(world.share.root.names?.get("log")?.data ?? []).toString(), "once");
  });

  // Cluster seed 108: the outcome was in the log, the node that sent it did not know, and created the file once more.
  it("performs no effect again whose outcome the log may have", async () => {
    const coordinator = world.coordinator.client();
    let unheard = 1;
    const n3 = await world.start("n3", {
      coordinator: {
        ...coordinator,
        execute: async (command, deadlineMs) => {
          const result = await coordinator.execute(command, deadlineMs);
          if (!command.finishEffect || unheard-- <= 0) return result;
          return { error: { code: ErrorCode.OUTCOME_UNKNOWN, message: "caught up by a snapshot" } };
        },
      },
    });
    const carol = await TestClient.make(3, "carol").open(n3);
    const create = carol.openRequest("once", { disposition: v1.Disposition.CREATE });
    await carol.refused(ErrorCode.OUTCOME_UNKNOWN, create, { request: carol.requestId() });
    assert.equal([...world.coordinator.state.effects()].length, 0);
    world.share.root.names?.delete("once");
    for (let i = 0; i < 20; i++) {
      world.time.advance(100);
      await quiet();
    }
    assert.equal(world.share.root.names?.has("once"), false, "it was created again");
  });

  it("checks both halves of a handle's name", async () => {
    const open = await alice.openFile("f");
    const handle = { ...open.handle, volatile: Number(open.handle?.volatile) + 1 };
    await alice.refused(ErrorCode.FILE_CLOSED, { read: { handle, offset: 0, length: 1 } });
    const bob = await TestClient.make(2, "bob").open(n1);
    await bob.refused(ErrorCode.FILE_CLOSED, { read: { handle: open.handle ?? null, offset: 0, length: 1 } });
  });

  it("refuses paths that lead out, unknown shares and oversized calls", async () => {
    await alice.refused(ErrorCode.OBJECT_NAME_INVALID, alice.openRequest("../x"));
    await alice.refused(ErrorCode.OBJECT_NAME_INVALID, alice.openRequest("/etc/passwd"));
    await alice.refused(ErrorCode.OBJECT_NAME_INVALID, { stat: { share: "demo", path: ".holdfast/e1" } });
    await alice.refused(ErrorCode.UNKNOWN_SHARE, { stat: { share: "other", path: "x" } });
    const open = await alice.openFile("f");
    await alice.refused(ErrorCode.LIMIT_EXCEEDED, {
      write: { handle: open.handle ?? null, offset: 0, data: new Uint8Array(256 * 1024 + 1) },
    });
    await alice.must({ write: { handle: open.handle ?? null, offset: 0, data: new Uint8Array(256 * 1024) } });
    await alice.refused(ErrorCode.INVALID_ARGUMENT, {});
  });

  it("resumes a session and its handles here after the connection was lost", async () => {
    const open = await alice.openFile("f");
    await alice.write(open, 0, "kept");
    alice.hangUp();
    await quiet();
    assert.equal((await alice.resume(n1)).error ?? null, null);
    await alice.refused(ErrorCode.FILE_CLOSED, {
      read: { handle: open.handle ?? null, offset: 0, length: 1 },
    });
    const again = await alice.reconnect(open, "f");
    assert.notEqual(again.handle?.volatile, open.handle?.volatile);
    assert.equal(await alice.read(again), "kept");
  });

  it("hands a session to its successor when the owner dies, with locks and data", async () => {
    const open = await alice.openFile("f");
    await alice.write(open, 0, "kept");
    await alice.must(
      { lock: { handle: open.handle ?? null, elements: [{ offset: 0, length: 4, exclusive: true }] } },
      { request: alice.requestId() },
    );
    world.kill(n1);
    await quiet();
    const bob = await TestClient.make(2, "bob").open(n2);
    await bob.refused(ErrorCode.FILE_NOT_AVAILABLE, bob.openRequest("f", { createGuid: guidOf("bob") }));
    const response = await alice.resume(n2);
    assert.equal(response.error ?? null, null, response.error?.message ?? "");
    assert.ok(Number(response.session?.epoch) > 1);
    const again = await alice.reconnect(open, "f");
    assert.equal(await alice.read(again), "kept");
    assert.equal(again.locks?.length, 1);
    const his = await bob.openFile("f", { createGuid: guidOf("bob") });
    await bob.refused(ErrorCode.FILE_LOCK_CONFLICT, {
      write: { handle: his.handle ?? null, offset: 0, data: new Uint8Array(1) },
    });
  });

  it("lets nobody else take a session up, even with every id", async () => {
    const thief = new TestClient(alice.guid, "mallory");
    thief.info = alice.info;
    alice.hangUp();
    await quiet();
    assert.equal((await thief.resume(n1)).error?.code, ErrorCode.ACCESS_DENIED);
    const guesser = new TestClient(alice.guid);
    guesser.info = { ...alice.info, resumeToken: new Uint8Array(16) };
    assert.equal((await guesser.resume(n1)).error?.code, ErrorCode.ACCESS_DENIED);
  });

  it("says what became of a call whose answer was lost", async () => {
    const id = alice.requestId();
    const created = await alice.must(alice.openRequest("f"), { request: id });
    const known = await alice.must({ resolve: { request: id } });
    assert.equal(known.resolve?.known, true);
    assert.deepEqual(known.resolve?.response?.open?.handle, created.open?.handle);
    const unknown = await alice.must({ resolve: { request: { slot: 5, sequence: 1 } } });
    assert.equal(unknown.resolve?.known ?? false, false);
  });
});
