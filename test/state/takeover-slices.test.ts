import assert from "node:assert/strict";
import { takeoverSlice } from "../../src/state/mechanics/takeover.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { assertCode, type Client, effectOf, World } from "./harness.js";

const NAMES = ["a", "b", "c", "d", "e"];

/** Five clients at n1, and n1 is dead; with two sessions an entry three of them still wait. */
function killed(prepare: (world: World, clients: Client[]) => void = () => {}): {
  world: World;
  clients: Client[];
} {
  const world = new World();
  const clients = NAMES.map((name) => world.client(name));
  prepare(world, clients);
  world.kill("n1");
  return { world, clients };
}

function waiting(world: World): number {
  return [...world.machine.sessionsOf("n1")].length;
}

function goOn(world: World): v1.ICommandResult {
  return world.run({ continueTakeover: { node: "n1", incarnation: 1 } });
}

function comesTo(world: World, client: Client, node: string): v1.ICommandResult {
  return world.run({
    connectSession: {
      sessionId: client.sessionId,
      clientGuid: client.guid,
      principal: client.principal,
      resumeToken: client.token,
      node,
      nodeIncarnation: 1,
    },
  });
}

describe("a takeover in several entries", () => {
  const usual = takeoverSlice.sessions;
  before(() => (takeoverSlice.sessions = 2));
  after(() => (takeoverSlice.sessions = usual));

  it("moves so many sessions an entry, and is asked for until none is left", () => {
    const { world } = killed();
    assert.equal(waiting(world), 3);
    assert.equal(world.machine.nextDueMs(), 0, "the leader has to go on at once");
    const sessionsMax = limits.takeoverSessionsWanted;
    const due = { continueTakeover: { node: "n1", incarnation: 1, sessionsMax } };
    assert.deepEqual(world.machine.due(world.nowMs, 10)[0], due);
    assert.deepEqual(world.machine.due(world.nowMs, 10)[0], due, "the same again until it is applied");
    goOn(world);
    assert.equal(waiting(world), 1);
    assert.equal(world.eventsOf("session-moved").length, 2);
    assert.equal(world.eventsOf("failover")[0]?.failover?.sessions, 4);
    goOn(world);
    assert.equal(waiting(world), 0);
    assert.equal(world.machine.node("n1")?.takeoverId, 0);
    assert.deepEqual(world.machine.due(world.nowMs, 10), []);
    assertCode(goOn(world), v1.ErrorCode.NO_CHANGE);
  });

  it("comes to the owners, epochs and record that one entry comes to", () => {
    const { world, clients } = killed();
    goOn(world);
    goOn(world);
    takeoverSlice.sessions = usual;
    const whole = killed();
    takeoverSlice.sessions = 2;
    for (const [i, client] of clients.entries()) {
      const one = world.session(client);
      const other = whole.world.session(whole.clients[i] as Client);
      assert.equal(one.owner, other.owner);
      assert.equal(one.epoch, other.epoch);
      assert.equal(one.failoverId, other.failoverId);
    }
    const [record] = [...world.machine.failovers()];
    const [expected] = [...whole.world.machine.failovers()];
    assert.equal(record?.sessions, expected?.sessions);
    assert.deepEqual(record?.to, expected?.to);
  });

  it("is one entry for a node with as many sessions as an entry may move, and two for one more", () => {
    for (const more of [0, 1]) {
      const world = new World();
      takeoverSlice.sessions = 4 - more;
      for (const name of NAMES.slice(0, 4)) world.client(name);
      world.kill("n1");
      takeoverSlice.sessions = 2;
      assert.equal(waiting(world), more);
      assert.equal(world.machine.due(world.nowMs, 10).length, more);
    }
    assert.equal(usual, limits.takeoverSessionsPerEntry);
  });

  it("moves as many as the command asks for, and never more than an entry may move", () => {
    const asked = (sessionsMax: number) => {
      const world = new World();
      for (const name of NAMES) world.client(name);
      world.run({ nodeDown: { node: "n1", incarnation: 1, cause: "test", sessionsMax } });
      const left = [waiting(world)];
      world.run({ continueTakeover: { node: "n1", incarnation: 1, sessionsMax } });
      return [...left, waiting(world)];
    };
    assert.deepEqual(asked(0), [3, 1], "an entry of an earlier version names no number");
    assert.deepEqual(asked(1), [4, 3]);
    assert.deepEqual(asked(2), [3, 1]);
    assert.deepEqual(asked(3), [3, 1]);
    assert(limits.takeoverSessionsWanted <= limits.takeoverSessionsPerEntry);
  });

  it("goes on at a member that was loaded from disk in the middle", () => {
    const { world } = killed();
    const twin = killed().world;
    world.restart();
    assert.equal(world.machine.nextDueMs(), 0);
    for (const each of [world, twin]) {
      goOn(each);
      goOn(each);
    }
    assert.equal(waiting(world), 0);
    assert.equal(world.machine.digest(), twin.machine.digest());
  });

  it("lets nothing of the dead owner through, also for a session that waits", () => {
    const { world, clients } = killed();
    const last = clients[4] as Client;
    const fence = world.fence(last);
    assert.equal(fence.node, "n1", "the last session waits");
    const late = world.openCommand(last, { path: "late" });
    assertCode(world.run(late), v1.ErrorCode.STALE_EPOCH);
    assert.notEqual(world.session(last).owner, "n1", "and it has moved by that");
    goOn(world);
    goOn(world);
    assert.equal([...world.machine.failovers()][0]?.sessions, 5);
  });

  it("moves a waiting session when its client comes, which finds it like any other after a takeover", () => {
    const { world, clients } = killed();
    const last = clients[4] as Client;
    assert.equal(world.session(last).owner, "n1");
    comesTo(world, last, "n2");
    const session = world.session(last);
    assert.equal(session.owner, "n2");
    assert.equal(session.connected, true);
    assert.equal([...world.machine.failovers()][0]?.sessionsBack, 1);
  });

  it("leaves an effect with its session until that moves, and takes it along then", () => {
    let effectId = 0;
    const { world, clients } = killed((before, [, , , , last]) => {
      const result = before.run(before.openCommand(last as Client, { path: "new" }));
      effectId = effectOf(result)?.id ?? 0;
    });
    assert(effectId > 0, "the open announced its create");
    const effect = () => [...world.machine.effects()].find(({ id }) => id === effectId);
    assert.equal(effect()?.owner, "n1");
    goOn(world);
    assert.equal(effect()?.owner, "n1");
    goOn(world);
    const session = world.session(clients[4] as Client);
    assert.equal(effect()?.owner, session.owner);
    assert.equal(session.takenOver, true);
    assert.equal(world.eventsOf("effect-needed")[0]?.node, session.owner);
  });

  it("takes the effect along when the client is quicker than the takeover", () => {
    const { world, clients } = killed((before, [, , , , last]) => {
      before.run(before.openCommand(last as Client, { path: "new" }));
    });
    // Refused at the node that the rule does not give it to: that one has something to resolve first.
    const first = comesTo(world, clients[4] as Client, "n2");
    const second = comesTo(world, clients[4] as Client, "n3");
    assert.equal([first, second].filter(({ error }) => !error).length, 1);
    const session = world.session(clients[4] as Client);
    const [effect] = [...world.machine.effects()];
    assert.notEqual(session.owner, "n1");
    assert.equal(effect?.owner, session.owner);
    assert.equal(session.takenOver, true);
  });

  it("ends when the node starts again: the rest is its own", () => {
    const { world } = killed();
    world.register("n1", 2);
    assert.equal(waiting(world), 3);
    for (const session of world.machine.sessionsOf("n1")) assert.equal(session.ownerIncarnation, 2);
    assert.equal(world.machine.node("n1")?.takeoverId, 0);
    assert.deepEqual(world.machine.due(world.nowMs, 10), []);
    assertCode(goOn(world), v1.ErrorCode.NO_CHANGE);
    world.restart();
  });

  it("ends without an heir when the others die too, and whoever registers next adopts the rest", () => {
    const { world, clients } = killed();
    world.kill("n2");
    world.kill("n3");
    for (let left = 10; world.machine.due(world.nowMs, 1).length > 0; left--) {
      assert(left > 0, "the takeovers do not end");
      for (const command of world.machine.due(world.nowMs, 1)) world.run(command);
    }
    world.restart();
    world.register("n4", 1);
    for (const client of clients) assert.equal(world.session(client).owner, "n4");
  });
});
