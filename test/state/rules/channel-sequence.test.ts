import assert from "node:assert/strict";
import { admitRequest, type ChannelCounters, requestDone, sequenceAge } from "../../../src/state/index.js";

function at(sequence: number, outstanding = 0, older = 0): ChannelCounters {
  return { sequence, outstanding, older };
}

describe("rules: channel sequence (semantics B4)", () => {
  it("age is counted modulo 2^16", () => {
    const cases: [handle: number, request: number, age: string][] = [
      [0, 0, "same"],
      [0, 1, "newer"],
      [0, 0x7fff, "newer"],
      [0, 0x8000, "stale"],
      [0, 0xffff, "stale"],
      [0xffff, 0, "newer"],
      [0xffff, 0x7ffe, "newer"],
      [0xffff, 0x7fff, "stale"],
      [5, 4, "stale"],
    ];
    for (const [handle, request, age] of cases)
      assert.equal(sequenceAge(handle, request), age, `${handle} ${request}`);
  });

  it("the table: age by replay flag, what is admitted and what is counted", () => {
    const request = (sequence: number, replay: boolean, modifies = true) => ({ sequence, replay, modifies });
    const rows: [
      before: ChannelCounters,
      request: ReturnType<typeof request>,
      admission: string,
      after: ChannelCounters,
    ][] = [
      [at(0, 1, 1), request(0, false), "run", at(0, 2, 1)],
      [at(0, 1, 0), request(0, true), "run", at(0, 2, 0)],
      [at(0, 1, 1), request(0, true), "refuse", at(0, 1, 1)],
      [at(0, 2, 1), request(1, false), "run", at(1, 1, 3)],
      [at(0, 0, 0), request(1, true), "run", at(1, 1, 0)],
      [at(0, 2, 0), request(1, true), "refuse", at(1, 0, 2)],
      [at(5, 1, 0), request(4, false), "refuse", at(5, 1, 0)],
      [at(5, 1, 0), request(4, true), "refuse", at(5, 1, 0)],
      [at(5, 1, 0), request(4, false, false), "run", at(5, 1, 1)],
      [at(0, 2, 0), request(1, true, false), "run", at(1, 1, 2)],
    ];
    for (const [before, one, admission, after] of rows) {
      const counters = { ...before };
      assert.equal(admitRequest(counters, one).admission, admission, JSON.stringify([before, one]));
      assert.deepEqual(counters, after, JSON.stringify([before, one]));
    }
  });

  it("a replay is admitted once nothing from before it runs any more", () => {
    const counters = at(0);
    const original = admitRequest(counters, { sequence: 0, replay: false, modifies: true });
    const replay = { sequence: 1, replay: true, modifies: true };
    assert.equal(admitRequest(counters, replay).admission, "refuse");
    requestDone(counters, original.counted, false);
    assert.equal(admitRequest(counters, replay).admission, "run");
  });

  it("replay7: a request that outlives a wrap of the sequence is taken off the older ones", () => {
    const counters = at(0);
    const long = admitRequest(counters, { sequence: 0, replay: false, modifies: false });
    for (const sequence of [0x7000, 0xe000, 0x5000, 0xb000, 0]) {
      const next = admitRequest(counters, { sequence, replay: false, modifies: true });
      requestDone(counters, next.counted, true);
    }
    assert.deepEqual(counters, at(0, 0, 1));
    requestDone(counters, long.counted, false);
    assert.deepEqual(counters, at(0, 0, 0));
  });
});
