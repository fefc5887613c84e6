import assert from "node:assert/strict";
import type { v1 } from "../../../src/wire/index.js";
import { type Client, World } from "../harness.js";

const FENCE_US = 4_000;

/** A session moved from n1 to n2 by an operation, its freeze taken by the former owner. */
function moved() {
  const world = new World();
  const client = world.client("a");
  const items = [{ sessionId: client.sessionId, from: "n1", to: "n2", epochBefore: 1 }];
  world.ok({ beginOperation: { operation: { id: "op", kind: "transfer", items } } });
  world.ok({ freezeSession: { fence: world.fence(client), operationId: "op" } });
  world.ok({
    moveSession: { fence: world.fence(client), to: "n2", operationId: "op", fenceUs: FENCE_US },
  });
  return { world, client, ...recorder(world, client) };
}

/** What n1 and n2 say about the latest move of a session, and what the flight recorder makes of it. */
function recorder(world: World, client: Client) {
  const note = (node: string, pause: v1.ISessionPause) =>
    world.ok({
      notePauses: {
        node,
        nodeIncarnation: 1,
        pauses: [{ sessionId: client.sessionId, epoch: world.session(client).epoch ?? 0, ...pause }],
      },
    });
  const record = () => [...world.machine.failovers()].at(-1) ?? {};
  const phases = () => {
    const { fenceUs, reassignUs, reclaimUs } = record();
    return [fenceUs, reassignUs, reclaimUs];
  };
  return { note, record, phases };
}

describe("the phases of a planned move", () => {
  it("are what the owners measured where that adds up to the client's pause", () => {
    const { note, record, phases } = moved();
    note("n1", { reassignUs: 2_000 });
    note("n2", { leadUs: 6_000, reclaimUs: 5_000, clientGapUs: 11_000 });
    assert.deepEqual(phases(), [FENCE_US, 2_000, 5_000]);
    assert.deepEqual([record().clientGapUs, record().sessionsMeasured], [11_000, 1]);
  });

  it("before the client's last answer are no pause", () => {
    const { note, phases } = moved();
    note("n1", { reassignUs: 2_000 });
    note("n2", { leadUs: 3_000, reclaimUs: 5_000, clientGapUs: 8_000 });
    assert.deepEqual(phases(), [1_000, 2_000, 5_000]);
  });

  it("keep the fence where the lead falls short of what the client has waited", () => {
    const { note, phases } = moved();
    note("n1", { reassignUs: 2_000 });
    note("n2", { leadUs: 1_000, reclaimUs: 5_000, clientGapUs: 11_000 });
    assert.deepEqual(phases(), [FENCE_US, 2_000, 5_000]);
  });

  it("are next to nothing before reclaim where the last answer came after the move", () => {
    const { note, phases } = moved();
    note("n1", { reassignUs: 20_000 });
    note("n2", { leadUs: 1, reclaimUs: 23_000, clientGapUs: 23_001 });
    assert.deepEqual(phases(), [0, 1, 23_000]);
  });

  it("stay whole where nobody knows when the last answer came", () => {
    const { note, phases } = moved();
    note("n1", { reassignUs: 2_000 });
    note("n2", { leadUs: 0, reclaimUs: 5_000, clientGapUs: 0 });
    assert.deepEqual(phases(), [FENCE_US, 2_000, 5_000]);
  });

  it("lose from reclaim what was answered by the former owner meanwhile, and gain what nobody counted", () => {
    const { note, phases } = moved();
    note("n1", { reassignUs: 2_000 });
    note("n2", { leadUs: 6_000, reclaimUs: 9_000, clientGapUs: 11_000 });
    assert.deepEqual(phases(), [FENCE_US, 2_000, 5_000]);
    const other = moved();
    other.note("n1", { reassignUs: 2_000 });
    other.note("n2", { leadUs: 7_000, reclaimUs: 3_000, clientGapUs: 11_000 });
    assert.deepEqual(other.phases(), [FENCE_US, 3_000, 4_000]);
  });

  it("do not follow a client's figure beyond what can lie between processes", () => {
    const { note, phases } = moved();
    note("n2", { leadUs: FENCE_US, reclaimUs: 900_000, clientGapUs: FENCE_US + 500_000 });
    assert.deepEqual(phases(), [FENCE_US, 0, 800_000]);
    const slow = moved();
    slow.note("n2", { leadUs: FENCE_US, reclaimUs: 1_000, clientGapUs: FENCE_US + 900_000 });
    assert.deepEqual(slow.phases(), [FENCE_US, 0, 101_000]);
    const denied = moved();
    denied.note("n2", { leadUs: FENCE_US, reclaimUs: 1_000, clientGapUs: 1 });
    assert.deepEqual(denied.phases(), [FENCE_US, 0, 1], "a reclaim that was measured stays known");
  });

  it("are only divided anew by the former owner's figure when that comes last", () => {
    const { note, phases } = moved();
    note("n2", { leadUs: 6_000, reclaimUs: 5_000, clientGapUs: 11_000 });
    assert.deepEqual(phases(), [FENCE_US, 2_000, 5_000]);
    note("n1", { reassignUs: 3_000 });
    assert.deepEqual(phases(), [3_000, 3_000, 5_000]);
  });

  it("count once: a repeat changes nothing", () => {
    const { note, record, phases } = moved();
    note("n2", { leadUs: 6_000, reclaimUs: 5_000, clientGapUs: 11_000 });
    note("n2", { leadUs: 9_000, reclaimUs: 50_000, clientGapUs: 60_000 });
    assert.deepEqual(phases(), [FENCE_US, 2_000, 5_000]);
    assert.equal(record().sessionsMeasured, 1);
  });

  it("of another node, or of an earlier epoch, are passed over", () => {
    const { note, phases } = moved();
    note("n3", { leadUs: 6_000, reclaimUs: 5_000, clientGapUs: 11_000 });
    note("n2", { epoch: 1, leadUs: 6_000, reclaimUs: 5_000, clientGapUs: 11_000 });
    assert.deepEqual(phases(), [0, 0, 0]);
  });
});

describe("the phases of a takeover", () => {
  /** A session whose owner died; detect, elect and fence as the coordinators knew them. */
  function takenOver() {
    const world = new World();
    const client = world.client("a");
    const other = world.client("b");
    world.ok({
      nodeDown: {
        node: "n1",
        incarnation: 1,
        cause: "killed by the test",
        detectUs: 900_000,
        electUs: 0,
        fenceUs: 100_000,
      },
    });
    const owner = world.session(client).owner ?? "";
    return { ...recorder(world, client), owner, other: recorder(world, other), world, otherClient: other };
  }

  it("begin with the client's last answer where that was later than the last heartbeat", () => {
    const { note, record, owner } = takenOver();
    note(owner, { leadUs: 950_000, reclaimUs: 5_000, clientGapUs: 955_000 });
    const { detectUs, fenceUs, reclaimUs } = record();
    assert.deepEqual([detectUs, fenceUs, reclaimUs], [850_000, 100_000, 5_000]);
  });

  it("are not taken away by a client that had no lead", () => {
    const { note, record, owner } = takenOver();
    note(owner, { leadUs: 1, reclaimUs: 5_000, clientGapUs: 5_001 });
    const { detectUs, fenceUs, reclaimUs } = record();
    assert.deepEqual([detectUs, fenceUs, reclaimUs], [900_000, 100_000, 5_000]);
  });
});
