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

  it("keeps longer what operators look for, in its place", () => {
    const ring = new EventRing(2, { kinds: ["node-down"], max: 2 });
    const push = (revision: number, kind: string) => ring.push([{ revision, kind }]);
    push(1, "node-down");
    for (let i = 2; i <= 5; i++) push(i, "handle-opened");
    push(6, "node-down");
    push(7, "handle-opened");
    assert.deepEqual(revisions(ring, 0), [1, 6, 7]);
    push(8, "handle-opened");
    push(9, "node-down");
    push(10, "node-down");
    assert.deepEqual(revisions(ring, 0), [9, 10]);
    push(11, "handle-opened");
    push(12, "handle-opened");
    assert.deepEqual(revisions(ring, 0), [9, 10, 11, 12]);
    assert.deepEqual(revisions(ring, 10), [10, 11, 12]);
    assert.equal(ring.from(5).compacted, true);
  });

  it("puts what a node notes by itself behind every token that was given", () => {
    const ring = new EventRing(5);
    assert.equal(ring.noteRevision(7), 7);
    const token = ring.token(7);
    assert.equal(token, 8);
    assert.equal(ring.noteRevision(7), 8);
    assert.equal(ring.noteRevision(9), 9);
  });
});
