import assert from "node:assert/strict";
import { type EventRow, merge, page, toRow, unreachable } from "../../../src/cli/events/merge.js";
import type { v1 } from "../../../src/wire/index.js";

const event = (revision: number, kind: string, more: v1.IEvent = {}) =>
  toRow({ revision, kind, clusterTimeMs: revision * 10, text: `${kind} ${revision}`, ...more });
const seen = (by: string, revision: number, kind: string, more: v1.IEvent = {}) =>
  event(revision, kind, { node: by, seenBy: by, ...more });
const shown = (rows: readonly EventRow[]) => rows.map((row) => `${row.revision} ${row.kind} ${row.node}`);

describe("events of several nodes as one list", () => {
  it("tells what is in the log once, and in its order", () => {
    const log = [event(1, "node-up", { node: "n1" }), event(2, "node-up"), event(5, "node-down")];
    const rows = merge([log.slice(1), log, [event(2, "node-up", { ordinal: 1 })]]);
    assert.deepEqual(shown(rows), ["1 node-up n1", "2 node-up ", "2 node-up ", "5 node-down "]);
    assert.deepEqual(
      rows.map((row) => row.ordinal),
      [0, 0, 1, 0],
    );
  });

  it("puts what each node saw behind the revision at which it saw it, apart for each node", () => {
    const lost = { text: "the node lease has run out" };
    const rows = merge([
      [event(3, "node-cordoned"), seen("n2", 3, "lease-lost", lost), seen("n2", 3, "lease-held")],
      [event(3, "node-cordoned"), event(4, "node-down"), seen("n1", 3, "lease-lost", lost)],
    ]);
    assert.deepEqual(shown(rows), [
      "3 node-cordoned ",
      "3 lease-lost n2",
      "3 lease-held n2",
      "3 lease-lost n1",
      "4 node-down ",
    ]);
  });

  it("tells a change of leader once, with everybody who saw it", () => {
    const text = "n2 leads in term 3";
    const rows = merge([
      [seen("n3", 8, "leader-changed", { text })],
      [seen("n1", 7, "leader-changed", { text }), seen("n1", 7, "leader-lost")],
      [seen("n2", 7, "leader-changed", { text, clusterTimeMs: 71 })],
    ]);
    assert.deepEqual(shown(rows), ["7 leader-changed n1,n2,n3", "7 leader-lost n1"]);
    assert.deepEqual(rows[0]?.seenBy.toSorted(), ["n1", "n2", "n3"]);
    assert.equal(rows[0]?.clusterTimeMs, 70);
  });

  it("prefers a failover that was seen to the record of it, and keeps what only the record tells", () => {
    const told = (text: string, ordinal = 0) => event(4, "failover", { text, ordinal });
    const record = told("failover 1: failover from n1 to n2, lease lapsed (from the record)");
    const live = told("failover 1: failover from n1", 2);
    for (const lists of [
      [[record], [live]],
      [[live], [record]],
    ])
      assert.deepEqual(
        merge(lists).map(({ text }) => text),
        ["failover 1: failover from n1"],
      );
    assert.equal(merge([[record], []]).length, 1);
  });

  it("shows the latest without a start, and whole revisions from the first with one", () => {
    const rows = [event(1, "a"), event(2, "b"), event(2, "c", { ordinal: 1 }), event(3, "d")];
    const kept = [
      { rows, resume: 4 },
      { rows: rows.slice(2), resume: 4 },
    ];
    const latest = page(kept, 0, 2);
    assert.deepEqual(shown(latest.rows), ["2 c ", "3 d "]);
    assert.deepEqual([latest.resume, latest.cut], [4, true]);
    const first = page(kept, 1, 2);
    assert.deepEqual(shown(first.rows), ["1 a ", "2 b ", "2 c "]);
    assert.equal(first.resume, 3);
  });

  it("goes on from where the node is that is behind", () => {
    const behind = page(
      [
        { rows: [], resume: 9 },
        { rows: [], resume: 4 },
      ],
      2,
      10,
    );
    assert.equal(behind.resume, 4);
  });

  it("has a row for a node that could not be asked", () => {
    const row = unreachable("n3", "connection refused");
    assert.deepEqual(
      [row.revision, row.kind, row.node, row.error],
      [null, "unreachable", "n3", "connection refused"],
    );
  });
});
