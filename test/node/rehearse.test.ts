import assert from "node:assert/strict";
import { rehearseTakeover } from "../../src/node/rehearse.js";

describe("rehearsal of a takeover", () => {
  it("is accepted by the state machine as it is now, and ends", () => {
    const began = performance.now();
    rehearseTakeover();
    assert.ok(performance.now() - began < 10_000, "a start must not wait for it");
  });
});
