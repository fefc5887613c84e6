import assert from "node:assert/strict";
import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { guidOf, quiet, TestClient, type TestNode, World } from "./world.js";

/** An attach that takes handles along, as the client library sends it. */
function attach(client: TestClient, handles: readonly v1.IReconnectRequest[]): v1.IFileRequest {
  return { attach: { resume: { context: client.context() }, reconnects: [...handles] } };
}

function along(open: v1.IOpenReply, path: string, writing = true): v1.IReconnectRequest {
  const handleId = open.handle?.persistent ?? null;
  return { handleId, createGuid: guidOf(path), persistent: true, path, writing };
}

/** A coordinator whose answer to the next connect is kept back, while the answers to later ones are given. */
function heldConnects(coordinator: CoordinatorClient) {
  let armed = false;
  let arrived: () => void = () => {};
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => (arrived = resolve));
  const released = new Promise<void>((resolve) => (release = resolve));
  return {
    coordinator: {
      async execute(command: v1.ICommand, deadlineMs?: number) {
        const result = await coordinator.execute(command, deadlineMs);
        if (!armed || !command.connectSession) return result;
        armed = false;
        arrived();
        await released;
        return result;
      },
      query: (query, deadlineMs) => coordinator.query(query, deadlineMs),
      watch: (node, listener) => coordinator.watch(node, listener),
    } satisfies CoordinatorClient,
    hold: () => void (armed = true),
    held: () => held,
    release: () => release(),
  };
}

describe("a session that is taken up together with its handles", () => {
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

  it("costs one entry of the log, and the write that waited for it none", async () => {
    const open = await alice.openFile("f");
    await alice.write(open, 0, "kept");
    world.kill(n1);
    await quiet();
    alice.dial(n2);
    alice.channelSequence += 1;
    const before = world.coordinator.revision;
    const response = await alice.must(attach(alice, [along(open, "f")]));
    assert.equal(world.coordinator.revision, before + 1);
    const [again] = response.session?.reconnected ?? [];
    assert.ok(again?.open, JSON.stringify(again?.error));
    assert.notEqual(again.open.handle?.volatile, open.handle?.volatile);
    await alice.write(again.open, 0, "more");
    assert.equal(world.coordinator.revision, before + 1);
    assert.equal(await alice.read(again.open), "more");
  });

  it("answers for each handle apart: one that is not there keeps no other back", async () => {
    const open = await alice.openFile("f");
    world.kill(n1);
    await quiet();
    alice.dial(n2);
    const stranger = { ...along(open, "f"), createGuid: guidOf("other") };
    const response = await alice.must(attach(alice, [stranger, along(open, "f", false)]));
    const [refused, taken] = response.session?.reconnected ?? [];
    assert.equal(refused?.error?.code, ErrorCode.OBJECT_NAME_NOT_FOUND);
    assert.ok(taken?.open);
  });

  it("gives nobody else's client a handle", async () => {
    const open = await alice.openFile("f");
    alice.hangUp();
    await quiet();
    const thief = new TestClient(alice.guid);
    thief.info = { ...alice.info, resumeToken: new Uint8Array(16) };
    thief.dial(n1);
    const record = () => world.coordinator.state.handle(open.handle?.persistent ?? new Uint8Array(0));
    const before = record()?.volatileId;
    await thief.refused(ErrorCode.ACCESS_DENIED, attach(thief, [along(open, "f")]));
    assert.equal(record()?.volatileId, before);
  });

  it("lets nobody who only knows its number take a session off its connection", async () => {
    const open = await alice.openFile("f");
    for (const thief of [new TestClient(alice.guid), TestClient.make(2), new TestClient(alice.guid, "bob")]) {
      const resumeToken = thief.principal === "bob" ? (alice.info.resumeToken ?? null) : new Uint8Array(16);
      thief.info = { ...alice.info, resumeToken };
      const response = await thief.resume(n1);
      assert.ok(response.error, "somebody else's session was taken up");
      await alice.write(open, 0, "undisturbed");
    }
  });

  it("says OPENED of a handle that is taken up, and the create's own action of a create that is sent again", async () => {
    const open = await alice.openFile("f");
    assert.equal(open.createAction, v1.CreateAction.CREATED);
    const later = async () => {
      alice.hangUp();
      await quiet();
      alice.dial(n1);
      alice.channelSequence += 1;
    };

    await later();
    const attached = await alice.must(attach(alice, [along(open, "f")]));
    assert.equal(
      attached.session?.reconnected?.[0]?.open?.createAction,
      v1.CreateAction.OPENED,
      "with attach",
    );

    await later();
    await alice.must(attach(alice, []));
    const request = alice.requestId();
    const one = { reconnect: along(open, "f") };
    assert.equal(
      (await alice.must(one, { request })).open?.createAction,
      v1.CreateAction.OPENED,
      "by itself",
    );
    const again = await alice.must(one, { request, replay: true });
    assert.equal(again.open?.createAction, v1.CreateAction.OPENED, "sent again");
    const asked = await alice.must({ resolve: { request } });
    assert.equal(asked.resolve?.response?.open?.createAction, v1.CreateAction.OPENED, "asked about");

    const spec = alice.openRequest("g");
    assert.equal((await alice.must(spec)).open?.createAction, v1.CreateAction.CREATED);
    await later();
    await alice.must(attach(alice, []));
    const replayed = await alice.must(spec, { replay: true });
    assert.equal(replayed.open?.createAction, v1.CreateAction.CREATED, "a replay that reconnects");
  });

  it("gives a handle again to a client that never heard that it has it back", async () => {
    const open = await alice.openFile("f");
    alice.hangUp();
    await quiet();
    await alice.resume(n1);
    const resume = { ...along(open, "f"), volatileId: open.handle?.volatile ?? 0 };
    const first = await alice.must({ reconnect: resume });
    const repeat = await alice.must({ reconnect: resume });
    assert.ok(repeat.open?.handle);
    await alice.write(repeat.open, 0, "still its own");
    // Whoever names the id that is valid now knows that the handle is in hand.
    const volatileId = repeat.open.handle.volatile ?? 0;
    await alice.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, { reconnect: { ...resume, volatileId } });
    await alice.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, { reconnect: { ...resume, volatileId: 0 } });
    assert.notEqual(first.open?.handle?.volatile, volatileId);
  });

  it("keeps the handles of a later attempt when the answer to an earlier one comes last", async () => {
    world = new World();
    world.init();
    const slow = heldConnects(world.coordinator.client());
    const node = await world.start("n1", { coordinator: slow.coordinator });
    alice = await TestClient.make(1).open(node);
    const open = await alice.openFile("f");
    alice.hangUp();
    await quiet();
    slow.hold();
    const early = new TestClient(alice.guid);
    early.info = alice.info;
    early.dial(node);
    const late = early.ask(attach(early, []));
    await slow.held();
    alice.dial(node);
    const response = await alice.must(attach(alice, [along(open, "f")]));
    const again = response.session?.reconnected?.[0]?.open;
    assert.ok(again);
    slow.release();
    assert.equal((await late).error?.code, ErrorCode.NOT_READY);
    await alice.write(again, 0, "kept");
  });

  it("takes as many handles as fit into one entry, and says so beyond", async () => {
    const open = await alice.openFile("f");
    alice.hangUp();
    await quiet();
    alice.dial(n1);
    const many = Array.from({ length: 86 }, () => along(open, "f"));
    await alice.refused(ErrorCode.LIMIT_EXCEEDED, attach(alice, many));
    const response = await alice.must(attach(alice, many.slice(1)));
    assert.equal(response.session?.reconnected?.length, 85);
  });
});
