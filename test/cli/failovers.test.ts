import assert from "node:assert/strict";
import { toRow } from "../../src/cli/commands/failovers.js";

describe("the row of a failover", () => {
  it("tells sessions that moved on from those that are lost", () => {
    const row = toRow({ sessions: 7, sessionsBack: 1, sessionsLost: 3, sessionsMovedOn: 2 });
    assert.deepEqual([row.back, row.movedOn, row.lost, row.awaited], [1, 2, 1, 3]);
  });

  it("of a record by an older version knows only who did not come back", () => {
    const row = toRow({ sessions: 3, sessionsBack: 1, sessionsLost: 2 });
    assert.deepEqual([row.back, row.movedOn, row.lost, row.awaited], [1, 0, 2, 0]);
  });
});
