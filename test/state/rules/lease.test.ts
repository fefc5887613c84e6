import assert from "node:assert/strict";
import { contention, type Contender } from "../../../src/state/rules/contention.js";
import { type BreakOperation, breakRule, isBreakOperation } from "../../../src/state/rules/lease-break.js";
import { type GrantSituation, grantLease } from "../../../src/state/rules/lease-grant.js";
import { LEASE_STATES, type LeaseState, leaseText } from "../../../src/state/rules/lease-state.js";
import { type GuidState, type ReplayOutcome, replayOutcome } from "../../../src/state/rules/replay.js";

const free: GrantSituation = {
  asked: 7,
  held: null,
  breaking: false,
  directory: false,
  mask: 7,
  otherOpens: false,
  otherLeases: [],
  otherLocks: false,
  deleteMarked: false,
};

describe("rules: leases (semantics F3, C5)", () => {
  it("the break table", () => {
    const wait = (to: number) => `${leaseText(to)}, wait`;
    const rows: Record<BreakOperation, readonly [r: string, rh: string, rw: string, rwh: string]> = {
      "attribute-open": ["-", "-", "-", "-"],
      open: ["-", "-", wait(1), wait(3)],
      overwrite: ["none, no ack", "none, no wait", wait(0), wait(0)],
      "share-conflict": ["-", wait(1), "-", wait(5)],
      read: ["-", "-", wait(1), wait(3)],
      write: ["none, no ack", "none, no wait", wait(0), wait(0)],
      lock: ["none, no ack", "none, no wait", wait(0), wait(0)],
      rename: ["-", wait(1), "-", wait(5)],
      delete: ["-", wait(1), "-", wait(5)],
      security: ["-", wait(1), "-", wait(5)],
      "directory-change": ["none, no ack", "none, no wait", wait(0), wait(0)],
    };
    for (const [operation, cells] of Object.entries(rows)) {
      assert(isBreakOperation(operation));
      LEASE_STATES.slice(1).forEach((state, i) => {
        const rule = breakRule(operation, state);
        const text =
          rule === null
            ? "-"
            : `${leaseText(rule.to)}, ${rule.wait ? "wait" : rule.ack ? "no wait" : "no ack"}`;
        assert.equal(text, cells[i], `${operation} against ${leaseText(state)}`);
      });
      assert.equal(breakRule(operation, 0), null);
    }
    assert.equal(isBreakOperation("toString"), false);
  });

  it("a break never adds rights", () => {
    for (const operation of ["open", "overwrite", "share-conflict", "read", "write", "rename"] as const)
      for (const state of LEASE_STATES) assert.equal((breakRule(operation, state)?.to ?? 0) & ~state, 0);
  });

  it("what can be granted: alone, beside opens, leases, locks, delete marks, on directories, under a mask", () => {
    const cases: [change: Partial<GrantSituation>, result: LeaseState][] = [
      [{}, 7],
      [{ otherOpens: true }, 3],
      [{ otherOpens: true, asked: 5 }, 1],
      [{ otherLeases: [1] }, 3],
      [{ otherLeases: [3], asked: 5 }, 1],
      [{ otherLeases: [5] }, 0],
      [{ otherLeases: [7], asked: 1 }, 0],
      [{ otherLeases: [0] }, 7],
      [{ otherLocks: true }, 0],
      [{ deleteMarked: true }, 1],
      [{ directory: true }, 3],
      [{ directory: true, asked: 5 }, 1],
      [{ mask: 1 }, 1],
      [{ mask: 3 }, 3],
      [{ asked: 2 }, 0],
      [{ asked: 6 }, 0],
      [{ breaking: true, held: 3 }, 3],
      [{ held: 3, otherOpens: true }, 3],
      [{ held: 1, otherOpens: true }, 3],
    ];
    for (const [change, result] of cases)
      assert.equal(grantLease({ ...free, ...change }), result, JSON.stringify(change));
  });

  it("nothing that is granted takes away, adds what was not asked, or goes beyond the mask", () => {
    for (const held of LEASE_STATES)
      for (const asked of LEASE_STATES)
        for (const mask of [1, 3, 7])
          for (const otherOpens of [false, true]) {
            const got = grantLease({ ...free, held, asked, mask, otherOpens });
            assert.equal(got & held, held);
            assert.equal(got & ~(held | (asked & mask)), 0);
          }
  });

  it("contention: every cell", () => {
    const contenders: Contender[] = ["attribute", "compatible", "overwrite", "share-conflict"];
    for (const held of LEASE_STATES)
      for (const locks of [false, true])
        for (const one of contenders) {
          const open = locks ? held === 7 : (held & 2) !== 0;
          const expected = one === "attribute" ? "free" : open ? "rules" : "unavailable";
          assert.equal(contention(held, locks, one), expected, `${leaseText(held)} ${locks} ${one}`);
        }
  });

  it("replay: every cell", () => {
    const rows: Record<
      GuidState,
      readonly [plain: ReplayOutcome, persistent: ReplayOutcome, other: ReplayOutcome]
    > = {
      unknown: ["execute", "execute", "execute"],
      pending: ["not-available", "not-available", "not-available"],
      "eligible-here": ["duplicate", "answer", "answer"],
      "eligible-other-session": ["duplicate", "duplicate", "duplicate"],
      "eligible-disconnected": ["duplicate", "resume", "resume"],
      used: ["execute", "not-available", "execute"],
      closed: ["execute", "closed", "execute"],
    };
    for (const [state, [plain, persistent, other]] of Object.entries(rows)) {
      assert.equal(replayOutcome(state as GuidState, false, true), plain);
      assert.equal(replayOutcome(state as GuidState, false, false), plain);
      assert.equal(replayOutcome(state as GuidState, true, true), persistent);
      assert.equal(replayOutcome(state as GuidState, true, false), other);
    }
  });
});
