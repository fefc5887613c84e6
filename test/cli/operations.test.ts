import assert from "node:assert/strict";
import { itemRows } from "../../src/cli/commands/operations.js";

describe("the table of a transfer", () => {
  const item = { sessionId: 1, from: "n1", to: "n2", epochBefore: 1, epochAfter: 2 };
  const freeze = (more: object) => itemRows([{ ...item, ...more }])[0]?.freezeMs;

  it("shows a freeze only once somebody has said what the client waited", () => {
    assert.equal(freeze({ state: "waiting" }), null);
    assert.equal(
      freeze({ state: "moved", fenceUs: 500 }),
      null,
      "the former owner's part alone is no freeze",
    );
    assert.equal(freeze({ state: "moved", fenceUs: 500, reassignUs: 1_500, reclaimUs: 3_000 }), 5);
    assert.equal(freeze({ state: "moved", fenceUs: 500, reclaimUs: 3_000, clientGapUs: 30_000 }), 30);
  });
});
