import assert from "node:assert/strict";
import { coordinatorDefaults } from "../../src/coordinator/config.js";
import { WatchHub } from "../../src/coordinator/watch-hub.js";
import { CHANGES_QUEUED_MAX, Witness } from "../../src/coordinator/witness.js";
import type { StateView } from "../../src/state/index.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { World } from "../client/world.js";

const GUID = new Uint8Array(16).fill(1);
const SESSION = 7;

/** A witness at n3 over a real hub; sessions and nodes are plain records. */
function start() {
  const world = new World();
  const at = { applied: 100 };
  const config = { ...coordinatorDefaults, raftId: 3, name: "n3", clusterId: "c", watchProgressMs: 500 };
  const hub = new WatchHub(
    config,
    world.runtime.scheduler,
    50,
    () => at.applied,
    () => "c",
  );
  const nodes = new Map<string, v1.INodeRecord>(
    ["n1", "n2", "n3"].map((name) => [
      name,
      { name, grpcAddress: `${name}:7401`, status: v1.NodeStatus.NODE_UP, shares: ["demo"] },
    ]),
  );
  const sessions = new Map<number, v1.ISessionRecord>([
    [SESSION, { id: SESSION, clientGuid: GUID, owner: "n1", epoch: 1 }],
  ]);
  const state = {
    session: (id: number) => sessions.get(id),
    node: (name: string) => nodes.get(name),
    nodes: () => nodes.values(),
  } as unknown as StateView;
  const witness = new Witness({ runtime: world.runtime, node: "n3", state: () => state, hub });
  const emit = (event: v1.IEvent) => {
    at.applied += 1;
    hub.push([{ ...event, revision: at.applied }], at.applied);
  };
  const nodeEvent = (name: string, up: boolean) => {
    const record = { ...nodes.get(name), status: up ? v1.NodeStatus.NODE_UP : v1.NodeStatus.NODE_DOWN };
    nodes.set(name, record);
    emit({ kind: up ? "node-up" : "node-down", nodeRecord: record, text: `${name} ${up ? "up" : "down"}` });
  };
  const moveTo = (owner: string) => {
    const session = sessions.get(SESSION) ?? assert.fail();
    const epoch = (session.epoch ?? 0) + 1;
    sessions.set(SESSION, { ...session, owner, epoch, previousOwner: session.owner ?? "" });
    emit({ kind: "session-moved", sessionId: SESSION, text: `to ${owner}` });
  };
  const register = (request: v1.IWitnessRequest = {}, room = Infinity) => {
    const notices: v1.IWitnessNotice[] = [];
    const sinkState = { room, ended: false };
    const registration = witness.register(
      { sessionId: SESSION, clientGuid: GUID, ...request },
      (notice) => {
        notices.push(notice);
        return --sinkState.room > 0;
      },
      () => (sinkState.ended = true),
    );
    return { notices, sinkState, registration };
  };
  return { world, hub, at, witness, sessions, emit, nodeEvent, moveTo, register };
}

describe("coordinator: witness", () => {
  it("names the registration and the present owner first", () => {
    const { register } = start();
    const { notices } = register();
    assert.match(notices[0]?.registrationId ?? "", /^n3-7-/);
    assert.equal(notices[1]?.move?.to?.grpcAddress, "n1:7401");
    assert.equal(notices[1]?.move?.epoch, 1);
  });

  it("refuses the owner's own session, unknown sessions and other clients'", () => {
    const { sessions, register } = start();
    const codeOf = (made: ReturnType<typeof register>) => {
      assert.ok(made.sinkState.ended);
      return made.notices.at(-1)?.error?.code;
    };
    assert.equal(codeOf(register({ sessionId: 9 })), ErrorCode.UNKNOWN_SESSION);
    assert.equal(codeOf(register({ clientGuid: new Uint8Array(16).fill(2) })), ErrorCode.UNKNOWN_SESSION);
    assert.equal(codeOf(register({ clientGuid: new Uint8Array(0) })), ErrorCode.UNKNOWN_SESSION);
    sessions.set(SESSION, { ...sessions.get(SESSION), owner: "n3" });
    assert.equal(codeOf(register()), ErrorCode.PRECONDITION_FAILED);
  });

  it("reports nodes that go and come, in order and with revisions", () => {
    const { at, nodeEvent, register } = start();
    const { notices } = register();
    nodeEvent("n1", false);
    nodeEvent("n1", true);
    const changes = notices.flatMap((notice) => notice.changes ?? []);
    assert.deepEqual(
      changes.map((change) => [change.node?.node, change.available]),
      [
        ["n1", false],
        ["n1", true],
      ],
    );
    assert.equal(notices.at(-1)?.revision, at.applied);
  });

  it("queues changes for a slow client and keeps only the latest move", () => {
    const { nodeEvent, moveTo, register } = start();
    const { notices, sinkState, registration } = register({}, 2);
    assert.equal(notices.length, 2, "the sink is full now");
    nodeEvent("n1", false);
    moveTo("n2");
    nodeEvent("n2", false);
    moveTo("n1");
    assert.equal(notices.length, 2);
    sinkState.room = Infinity;
    registration.resume();
    assert.equal(notices.length, 3);
    const { changes, move } = notices[2] ?? {};
    assert.deepEqual(
      changes?.map((change) => change.node?.node),
      ["n1", "n2"],
      "no change is left out",
    );
    assert.deepEqual([move?.to?.node, move?.epoch], ["n1", 3]);
  });

  it("says so when it drops changes, and gives the whole picture", () => {
    const { nodeEvent, register } = start();
    const { notices, sinkState, registration } = register({}, 2);
    for (let i = 0; i < CHANGES_QUEUED_MAX; i++) nodeEvent("n1", i % 2 === 1);
    sinkState.room = 1;
    registration.resume();
    assert.equal(notices[2]?.lagging ?? false, false, "as many as fit are no lag");
    assert.equal(notices[2]?.changes?.length, CHANGES_QUEUED_MAX);
    for (let i = 0; i <= CHANGES_QUEUED_MAX; i++) nodeEvent("n1", i % 2 === 1);
    sinkState.room = Infinity;
    registration.resume();
    assert.equal(notices[3]?.lagging, true);
    assert.deepEqual(notices[3]?.changes?.map((change) => [change.node?.node, change.available]).sort(), [
      ["n1", false],
      ["n2", true],
      ["n3", true],
    ]);
  });

  it("resumes after a revision without a gap, and lags when it is no longer kept", () => {
    const { at, hub, nodeEvent, register } = start();
    const first = register();
    nodeEvent("n1", false);
    const revision = first.notices.at(-1)?.revision ?? 0;
    first.registration.close();
    nodeEvent("n2", false);
    nodeEvent("n2", true);
    const second = register({ resumeRevision: revision });
    const missed = second.notices.flatMap((notice) => notice.changes ?? []);
    assert.deepEqual(
      missed.map((change) => change.available),
      [false, true],
    );
    hub.resync((at.applied += 10));
    const third = register({ resumeRevision: revision });
    assert.equal(third.notices.at(-1)?.lagging, true);
  });

  it("reports only nodes of the share that was asked for", () => {
    const { nodeEvent, register } = start();
    const { notices } = register({ share: "other" });
    nodeEvent("n1", false);
    assert.equal(notices.flatMap((notice) => notice.changes ?? []).length, 0);
  });

  it("breaks silence within the keepalive", async () => {
    const { world, register } = start();
    const { notices, registration } = register({ keepaliveMs: 400 });
    const before = notices.length;
    await world.pass(2_000);
    const frames = notices.slice(before);
    assert.ok(frames.length >= 5 && frames.every((frame) => frame.progress), `${frames.length} frames`);
    registration.close();
    const after = notices.length;
    await world.pass(2_000);
    assert.equal(notices.length, after, "nothing after the end");
  });

  it("ends when the session comes to this node, or ends, and forgets the registration", () => {
    for (const end of ["move", "close"] as const) {
      const { witness, emit, moveTo, register } = start();
      const { notices, sinkState } = register();
      if (end === "move") moveTo("n3");
      else emit({ kind: "session-closed", sessionId: SESSION, text: "closed" });
      const code = end === "move" ? ErrorCode.PRECONDITION_FAILED : ErrorCode.UNKNOWN_SESSION;
      assert.equal(notices.at(-1)?.error?.code, code);
      if (end === "move") assert.equal(notices.at(-2)?.move?.to?.node, "n3");
      assert.ok(sinkState.ended);
      assert.equal(witness.count, 0);
    }
  });

  it("does not tell of other sessions", () => {
    const { emit, register } = start();
    const { notices } = register();
    const before = notices.length;
    emit({ kind: "session-moved", sessionId: 8 });
    emit({ kind: "session-closed", sessionId: 8 });
    assert.equal(notices.length, before);
  });
});
