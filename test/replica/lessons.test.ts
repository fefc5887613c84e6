import assert from "node:assert/strict";
import { type Proposal, ProposalBook } from "../../src/replica/proposals.js";
import { ErrorCode } from "../../src/wire/errors.js";
import type { v1 } from "../../src/wire/index.js";

/** One proposal that was sent in `term`, and what it was told. */
function sentIn(term: number): { book: ProposalBook; sent: Proposal; answers: v1.ICommandResult[] } {
  const book = new ProposalBook(10, 1_000);
  const answers: v1.ICommandResult[] = [];
  assert.ok(book.add(Uint8Array.of(1), 1_000, (result) => answers.push(result)));
  const [sent] = book.takeWaiting();
  book.markSent([sent as Proposal], term, 0);
  return { book, sent: sent as Proposal, answers };
}

describe("lesson L44: the outcome of a proposal has three answers", () => {
  it("done: its entry was applied here", () => {
    const { book, sent, answers } = sentIn(2);
    book.settle(sent.number, { revision: 7 });
    assert.deepEqual(answers, [{ revision: 7 }]);
    assert.equal(book.size, 0);
  });

  it("never: an entry of a later term was applied, so it waits for another attempt under another number", () => {
    const { book, sent, answers } = sentIn(2);
    const before = sent.number;
    book.termApplied(2);
    assert.equal(book.waiting, 0, "an entry of its own term says nothing");
    book.termApplied(3);
    assert.equal(book.waiting, 1);
    assert.notEqual(book.takeWaiting()[0]?.number, before);
    assert.deepEqual(answers, []);
    // The first copy is no longer waited for, wherever it turns up.
    book.settle(before, { revision: 7 });
    assert.deepEqual(answers, []);
  });

  it("unknown: its place was skipped by a snapshot; it is told so at once and never left waiting", () => {
    const { book, answers } = sentIn(2);
    book.skipped({ code: ErrorCode.OUTCOME_UNKNOWN });
    assert.deepEqual(answers, [{ error: { code: ErrorCode.OUTCOME_UNKNOWN } }]);
    assert.equal(book.size, 0);
    book.termApplied(3);
    assert.equal(book.waiting, 0, "what may have happened is not tried again");
  });

  it("what was never sent is not touched by a snapshot", () => {
    const book = new ProposalBook(10, 1_000);
    book.add(Uint8Array.of(1), 1_000, () => assert.fail("it can still be sent"));
    book.skipped({ code: ErrorCode.OUTCOME_UNKNOWN });
    assert.equal(book.waiting, 1);
  });
});
