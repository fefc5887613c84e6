import assert from "node:assert/strict";
import { filenodeLimits } from "../../src/filenode/options.js";
import type { v1 } from "../../src/wire/index.js";
import { HeldCommands } from "./held-commands.js";
import { quiet, TestClient, type TestNode, World } from "./world.js";

/**
 * The log takes a client for connected before its node can answer. If the connection breaks in between, nobody but this
 * node can say that the client is away: unsaid, its handles would hold off everybody until the node's death
 * (semantics.md A5).
 */
describe("a connection that breaks while its session is attached", () => {
  let world: World;
  let connects: HeldCommands;
  let opens: HeldCommands;
  let n1: TestNode;

  beforeEach(async () => {
    world = new World();
    world.init();
    connects = new HeldCommands(world.coordinator.client(), "connectSession");
    opens = new HeldCommands(connects.coordinator, "openSession");
    n1 = await world.start("n1", { coordinator: opens.coordinator });
  });

  const connected = (id: v1.ISessionInfo["sessionId"]): boolean | null | undefined =>
    world.coordinator.state.session(Number(id))?.connected;

  it("ends a session that was just opened", async () => {
    const alice = TestClient.make(1);
    const answers = opens.holdAnswers();
    const opening = alice.askForSession(n1);
    await quiet();
    const [session] = world.coordinator.state.sessionsOf("n1");
    assert.equal(connected(session?.id), true);
    alice.hangUp();
    answers();
    assert.ok((await opening).error);
    await quiet();
    assert.equal(connected(session?.id), false);
  });

  it("ends one that was just resumed", async () => {
    const alice = await TestClient.make(1).open(n1);
    await alice.openFile("f");
    alice.hangUp();
    await quiet();
    const answers = connects.holdAnswers();
    const resuming = alice.resume(n1);
    await quiet();
    assert.equal(connected(alice.info.sessionId), true);
    alice.hangUp();
    answers();
    assert.ok((await resuming).error);
    await quiet();
    assert.equal(connected(alice.info.sessionId), false);
  });

  it("ends one whose node was not ready and told its client so", async () => {
    const alice = await TestClient.make(1).open(n1);
    await alice.openFile("f");
    alice.hangUp();
    await quiet();
    const session = n1.node.core.sessions.get(Number(alice.info.sessionId));
    assert.ok(session);
    const answers = connects.holdAnswers();
    const resuming = alice.resume(n1);
    await quiet();
    // What a former owner left is still being resolved.
    session.ready = new Promise(() => {});
    answers();
    await quiet();
    world.time.advance(filenodeLimits.drainMs);
    assert.ok((await resuming).error);
    assert.equal(connected(alice.info.sessionId), true, "its client may ask again on this connection");
    alice.hangUp();
    await quiet();
    assert.equal(connected(alice.info.sessionId), false);
  });

  it("leaves one alone that is connected again by then", async () => {
    const alice = await TestClient.make(1).open(n1);
    alice.hangUp();
    await quiet();
    const answers = connects.holdAnswers();
    const resuming = alice.resume(n1);
    await quiet();
    alice.hangUp();
    answers();
    const again = alice.resume(n1);
    assert.ok((await resuming).error);
    assert.equal((await again).error ?? null, null);
    await quiet();
    assert.equal(connected(alice.info.sessionId), true);
  });
});
