import assert from "node:assert/strict";
import { pastFailovers } from "../../src/node/admin/past-events.js";

const record = (id: number, revision: number) => ({
  id,
  revision,
  kind: "failover",
  cause: "lease lapsed",
  from: "n1",
  to: ["n2", "n3"],
  begunMs: 1_000 + id,
});

describe("events of the past", () => {
  const records = [record(2, 20), record(1, 10), record(3, 30)];
  const told = (from: number, before: number) => pastFailovers(records, from, before).map((e) => e.revision);

  it("are told of records before the oldest event that is kept, and not twice", () => {
    assert.deepEqual(told(0, 30), [10, 20]);
    assert.deepEqual(told(0, 31), [10, 20, 30]);
    assert.deepEqual(told(0, 10), []);
  });

  it("begin where they are asked to begin", () => {
    assert.deepEqual(told(20, 31), [20, 30]);
    assert.deepEqual(told(21, 31), [30]);
  });

  it("say what happened and where that is known from", () => {
    assert.deepEqual(pastFailovers(records, 0, 11), [
      {
        revision: 10,
        clusterTimeMs: 1_001,
        kind: "failover",
        text: "failover 1: failover from n1 to n2, n3, lease lapsed (from the record)",
      },
    ]);
  });
});
