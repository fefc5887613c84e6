import assert from "node:assert/strict";
import { ErrorCode } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";
import { guidOf, quiet, TestClient, type TestNode, World } from "./world.js";

/** An attach that takes handles along, as the client library sends it. */
function attach(client: TestClient, handles: readonly v1.IReconnectRequest[]): v1.IFileRequest {
  return { attach: { resume: { context: client.context() }, reconnects: [...handles] } };
}

function along(open: v1.IOpenReply, path: string, writing = true): v1.IReconnectRequest {
  const handleId = open.handle?.persistent ?? null;
  return { handleId, createGuid: guidOf(path), persistent: true, path, writing };
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
