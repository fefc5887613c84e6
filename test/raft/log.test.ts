import assert from "node:assert/strict";
import fc from "fast-check";
import { Entry, EntryKind, InvariantError, NO_LIMIT } from "../../src/raft/index.js";
import { RaftLog } from "../../src/raft/log/raft-log.js";
import { entryBytes } from "../../src/raft/log/size.js";
import { check } from "./support/property.js";

function entry(term: number, index: number, bytes = 0): Entry {
  return new Entry(term, index, EntryKind.Normal, new Uint8Array(bytes));
}

function logOf(...terms: number[]): RaftLog {
  return new RaftLog(
    0,
    0,
    terms.map((term, i) => entry(term, i + 1)),
    NO_LIMIT,
  );
}

function terms(log: RaftLog): number[] {
  const out: number[] = [];
  for (let i = log.first; i <= log.last; i++) out.push(log.term(i));
  return out;
}

type Step =
  | { readonly kind: "append"; readonly count: number; readonly newTerm: boolean }
  | { readonly kind: "accept"; readonly back: number; readonly count: number; readonly newTerm: boolean }
  | { readonly kind: "hand" | "durable" | "commit" | "apply" | "compact" };

const count = fc.integer({ min: 0, max: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("append" as const), count, newTerm: fc.boolean() }),
  fc.record({
    kind: fc.constant("accept" as const),
    back: fc.integer({ min: 0, max: 6 }),
    count,
    newTerm: fc.boolean(),
  }),
  fc.record({
    kind: fc.constantFrom(
      "hand" as const,
      "durable" as const,
      "commit" as const,
      "apply" as const,
      "compact" as const,
    ),
  }),
);

/** The same with a plain array and no cleverness. Index i of the log is `terms[i - 1]`. */
class Model {
  terms: number[] = [];
  base = 0;
  committed = 0;
  applied = 0;
  durable = 0;
  handed = 0;
  term = 1;

  /** Answers the entries to accept after `previous`. */
  accept(previous: number, amount: number, newTerm: boolean): number[] {
    if (newTerm) this.term++;
    // What a leader sends agrees with the committed part, repeats some of the rest, and then differs.
    const sent = this.terms.slice(previous, previous + Math.floor(amount / 2));
    while (sent.length < amount) sent.push(this.term);
    const conflict = sent.findIndex((term, i) => this.terms[previous + i] !== term);
    if (conflict >= 0) {
      const at = previous + conflict;
      this.terms.length = at;
      this.terms.push(...sent.slice(conflict));
      this.durable = Math.min(this.durable, at);
      this.handed = Math.min(this.handed, at);
    }
    return sent;
  }
}

function run(log: RaftLog, model: Model, step: Step): void {
  switch (step.kind) {
    case "append":
      if (step.newTerm) model.term++;
      for (let i = 0; i < step.count; i++) {
        model.terms.push(model.term);
        log.append([entry(model.term, model.terms.length)]);
      }
      return;
    case "accept": {
      const previous = Math.max(model.committed, model.terms.length - step.back);
      const sent = model.accept(previous, step.count, step.newTerm);
      log.accept(
        previous,
        sent.map((term, i) => entry(term, previous + 1 + i)),
      );
      return;
    }
    case "hand":
      assert.deepEqual(
        log.takeUnhanded().map((e) => e.term),
        model.terms.slice(model.handed),
      );
      model.handed = model.terms.length;
      return;
    case "durable":
      model.durable = model.handed;
      log.durableTo(model.handed, log.term(model.handed));
      return;
    case "commit":
      model.committed = model.terms.length;
      log.commitTo(model.committed);
      return;
    case "apply": {
      const end = Math.min(model.committed, model.durable);
      const taken = log.takeCommitted(false);
      assert.equal(taken.length, Math.max(0, end - model.applied));
      if (taken.length === 0) return;
      model.applied = end;
      log.appliedTo(end);
      return;
    }
    case "compact":
      model.base = model.applied;
      log.compactTo(model.applied);
      return;
    default:
      step satisfies never;
  }
}

describe("raft log: against a plain array", () => {
  it("does the same under any sequence of operations", () => {
    check(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const log = new RaftLog(0, 0, [], NO_LIMIT);
        const model = new Model();
        for (const one of steps) {
          run(log, model, one);
          assert.deepEqual(terms(log), model.terms.slice(model.base));
          assert.deepEqual(
            [log.base, log.last, log.committed, log.applied, log.durable, log.handed],
            [model.base, model.terms.length, model.committed, model.applied, model.durable, model.handed],
          );
          assert.equal(log.lastTerm, model.terms.at(-1) ?? 0);
        }
      }),
      1000,
    );
  });

  it("keeps its indices right over many compactions", () => {
    const log = new RaftLog(0, 0, [], NO_LIMIT);
    for (let i = 1; i <= 10_000; i++) {
      log.append([entry(1, i)]);
      log.takeUnhanded();
      log.durableTo(i, 1);
      log.commitTo(i);
      log.takeCommitted(false);
      log.appliedTo(i);
      if (i % 7 === 0) log.compactTo(i - 3);
      assert.equal(log.at(i).index, i);
      assert.equal(log.slice(log.first, i, NO_LIMIT).length, i - log.base);
    }
  });
});

describe("raft log: single rules", () => {
  it("an overlapping append removes nothing that agrees (L9)", () => {
    const log = logOf(1, 1, 1, 1);
    log.accept(1, [entry(1, 2)]);
    assert.deepEqual(terms(log), [1, 1, 1, 1]);
    log.accept(1, [entry(1, 2), entry(2, 3)]);
    assert.deepEqual(terms(log), [1, 1, 2]);
  });

  it("a conflict at or below commit ends the node (L9, L11)", () => {
    const log = logOf(1, 1, 1);
    log.commitTo(2);
    assert.throws(() => log.accept(1, [entry(2, 2)]), InvariantError);
  });

  it("commit beyond the log ends the node (L21)", () => {
    assert.throws(() => logOf(1, 1).commitTo(3), InvariantError);
  });

  it("a confirmation of entries that were replaced meanwhile confirms nothing (L27)", () => {
    const log = new RaftLog(0, 0, [], NO_LIMIT);
    log.append([entry(1, 1), entry(1, 2)]);
    log.takeUnhanded();
    log.accept(0, [entry(2, 1)]);
    log.durableTo(2, 1);
    log.durableTo(1, 1);
    assert.equal(log.durable, 0);
  });

  it("the hint for a rejected append skips whole terms (L19)", () => {
    const leader = logOf(1, 3, 3, 3, 5, 5, 5, 5, 5);
    assert.equal(leader.conflictHint(6, 2), 1);
    const follower = logOf(1, 3, 3, 4, 4, 5, 5, 5, 6);
    assert.equal(follower.conflictHint(8, 3), 3);
  });

  it("slices are bounded in bytes but never empty", () => {
    const log = new RaftLog(0, 0, [entry(1, 1, 100), entry(1, 2, 100), entry(1, 3, 100)], NO_LIMIT);
    const one = entryBytes(entry(1, 1, 100));
    const length = (bytesMax: number): number => log.slice(1, 3, bytesMax).length;
    assert.deepEqual([length(0), length(2 * one - 1), length(2 * one), length(2 * one + 1)], [1, 1, 2, 2]);
  });

  it("ranges to apply are bounded over all that is not applied yet, and go on afterwards", () => {
    const one = entryBytes(entry(1, 1, 100));
    const log = new RaftLog(0, 0, [entry(1, 1, 100), entry(1, 2, 100), entry(1, 3, 100)], 2 * one);
    log.commitTo(3);
    assert.deepEqual(
      log.takeCommitted(false).map((e) => e.index),
      [1, 2],
    );
    assert.deepEqual(log.takeCommitted(false), []);
    log.appliedTo(2);
    assert.deepEqual(
      log.takeCommitted(false).map((e) => e.index),
      [3],
    );
  });

  it("refuses a durable log with a gap or with falling terms", () => {
    assert.throws(() => new RaftLog(0, 0, [entry(1, 2)], NO_LIMIT), InvariantError);
    assert.throws(() => logOf(2, 1), InvariantError);
  });
});
