import assert from "node:assert/strict";
import { EventRing } from "../../src/node/admin/event-ring.js";

const event = (revision: number) => ({ revision });
const revisions = (ring: EventRing, from: number) => ring.from(from).events.map((each) => each.revision);

describe("event ring", () => {
  it("keeps the latest, and says when older ones were asked for", () => {
    const ring = new EventRing(3);
    for (let i = 1; i <= 3; i++) ring.push([event(i)]);
    assert.deepEqual(revisions(ring, 0), [1, 2, 3]);
    assert.equal(ring.from(1).compacted, false);
    for (let i = 4; i <= 20; i++) ring.push([event(i)]);
    assert.deepEqual(revisions(ring, 0), [18, 19, 20]);
    assert.deepEqual(revisions(ring, 19), [19, 20]);
    assert.equal(ring.from(17).compacted, true);
    assert.equal(ring.from(18).compacted, false);
  });

  it("takes more at once than it holds", () => {
    const ring = new EventRing(2);
    ring.push([event(1), event(2), event(3), event(4), event(5)]);
    assert.deepEqual(revisions(ring, 0), [4, 5]);
  });

  it("knows nothing from before a snapshot", () => {
    const ring = new EventRing(5);
    ring.push([event(1)]);
    ring.clear();
    ring.push([event(9)]);
    assert.deepEqual(revisions(ring, 0), [9]);
    assert.equal(ring.from(5).compacted, true);
  });
});
