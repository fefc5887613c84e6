import type { Term } from "../raft/index.js";
import { ErrorCode, errorDetail } from "../wire/errors.js";
import type { v1 } from "../wire/index.js";
import { NumberWindow } from "./number-window.js";

/** Called once with what became of a proposal. */
export type ProposalDone = (result: v1.ICommandResult) => void;

/** One command on its way. */
export interface Proposal {
  /** Its number in the log record; a new one for each new attempt, so that an old copy is never taken for the answer. */
  number: number;
  readonly command: Uint8Array;
  readonly deadlineMs: number;
  readonly done: ProposalDone;
  /** Term in which it was appended or forwarded; zero: neither, it cannot be in any log. */
  sentTerm: Term;
  /** When it was sent last, for repeats of a forward. */
  sentMs: number;
  /** More than one copy of this attempt was sent. */
  repeated: boolean;
}

/**
 * The proposals of this process that have no answer yet.
 *
 * A proposal is either waiting (in `queue`, certainly in nobody's log) or sent (in `sent`, by number). It goes back from
 * sent to waiting only when its copy can certainly never be applied: it was refused, or an entry of a later term than it
 * was sent in has been applied. So it is applied at most once in the life of this process.
 */
export class ProposalBook {
  private queue: Proposal[] = [];
  private readonly sent = new NumberWindow<Proposal>();
  private nextNumber = 1;
  private earliestDeadlineMs = Infinity;
  private oldestSentTerm: Term = Infinity;
  private bytes = 0;

  constructor(
    private readonly countMax: number,
    private readonly bytesMax: number,
  ) {}

  get size(): number {
    return this.queue.length + this.sent.size;
  }

  get waiting(): number {
    return this.queue.length;
  }

  /** False when too much is under way already: the caller answers OVERLOADED. */
  add(command: Uint8Array, deadlineMs: number, done: ProposalDone): boolean {
    if (this.size >= this.countMax || this.bytes + command.length > this.bytesMax) return false;
    this.bytes += command.length;
    this.queue.push({ number: 0, command, deadlineMs, done, sentTerm: 0, sentMs: 0, repeated: false });
    if (deadlineMs < this.earliestDeadlineMs) this.earliestDeadlineMs = deadlineMs;
    return true;
  }

  /** Takes everything that waits, in order; each has its number for this attempt. What is not sent must be put back. */
  takeWaiting(): Proposal[] {
    const taken = this.queue;
    if (taken.length === 0) return taken;
    this.queue = [];
    for (let i = 0; i < taken.length; i++) (taken[i] as Proposal).number = this.nextNumber++;
    return taken;
  }

  /** They were not sent after all. */
  putBack(proposals: readonly Proposal[]): void {
    this.queue = this.queue.length === 0 ? [...proposals] : [...proposals, ...this.queue];
  }

  /** One that was taken and cannot go on. */
  reject(proposal: Proposal, error: v1.IErrorDetail): void {
    this.finish(proposal, { error });
  }

  markSent(proposals: readonly Proposal[], term: Term, nowMs: number): void {
    for (let i = 0; i < proposals.length; i++) {
      const proposal = proposals[i] as Proposal;
      proposal.sentTerm = term;
      proposal.sentMs = nowMs;
      proposal.repeated = false;
      this.sent.set(proposal.number, proposal);
    }
    if (term < this.oldestSentTerm) this.oldestSentTerm = term;
  }

  /** Its entry was applied here: gives the answer to whoever waits. */
  settle(number: number, result: v1.ICommandResult): void {
    const proposal = this.sent.get(number);
    if (proposal === undefined) return;
    this.sent.delete(number);
    this.finish(proposal, result);
  }

  /**
   * A copy of it was refused: fails it, or, without an error, lets it wait for its next attempt. `thisCopy`: of other
   * copies nothing is known. A leader that was restarted between two copies, or has stepped down, refuses the second
   * one, and the first is in its log: then only a later term tells.
   */
  refused(number: number, error: v1.IErrorDetail | null, thisCopy: boolean): void {
    const proposal = this.sent.get(number);
    if (proposal === undefined || (thisCopy && proposal.repeated)) return;
    this.sent.delete(number);
    if (error !== null) this.finish(proposal, { error });
    else this.requeue([proposal]);
  }

  /** An entry of `term` is applied: what was sent in an earlier one and is not applied by now never will be. */
  termApplied(term: Term): void {
    if (this.sent.size === 0 || this.oldestSentTerm >= term) return;
    const lost: Proposal[] = [];
    let oldest = Infinity;
    for (const proposal of this.sent.values()) {
      if (proposal.sentTerm < term) lost.push(proposal);
      else if (proposal.sentTerm < oldest) oldest = proposal.sentTerm;
    }
    this.oldestSentTerm = oldest;
    for (const proposal of lost) this.sent.delete(proposal.number);
    this.requeue(lost);
  }

  private requeue(lost: readonly Proposal[]): void {
    for (const proposal of lost) proposal.sentTerm = 0;
    this.putBack(lost);
  }

  /** Entries were skipped by a snapshot: what was sent may be among them, and its answer is gone. */
  skipped(error: v1.IErrorDetail): void {
    const unknown = [...this.sent.values()];
    this.sent.clear();
    this.oldestSentTerm = Infinity;
    for (const proposal of unknown) this.finish(proposal, { error });
  }

  /** Forwards in `term` that have had no answer since `beforeMs`; to be sent again under the same numbers. */
  unanswered(term: Term, beforeMs: number, countMax: number): Proposal[] {
    const found: Proposal[] = [];
    for (const proposal of this.sent.values()) {
      if (proposal.sentTerm === term && proposal.sentMs <= beforeMs) found.push(proposal);
    }
    if (found.length <= countMax) return found;
    // Who has waited longest, so that the first numbers do not have all the repeats.
    return found.sort((a, b) => a.sentMs - b.sentMs).slice(0, countMax);
  }

  /** They were sent once more, under the same numbers. */
  sentAgain(proposals: readonly Proposal[], nowMs: number): void {
    for (const proposal of proposals) {
      proposal.sentMs = nowMs;
      proposal.repeated = true;
    }
  }

  /** Answers everything whose deadline has passed. `why` explains to those that were never sent. */
  expire(nowMs: number, why: () => v1.IErrorDetail): void {
    if (nowMs < this.earliestDeadlineMs) return;
    const late: Proposal[] = [];
    const kept: Proposal[] = [];
    let earliest = Infinity;
    for (const proposal of this.queue) {
      if (proposal.deadlineMs <= nowMs) late.push(proposal);
      else {
        kept.push(proposal);
        if (proposal.deadlineMs < earliest) earliest = proposal.deadlineMs;
      }
    }
    this.queue = kept;
    for (const proposal of this.sent.values()) {
      if (proposal.deadlineMs <= nowMs) late.push(proposal);
      else if (proposal.deadlineMs < earliest) earliest = proposal.deadlineMs;
    }
    this.earliestDeadlineMs = earliest;
    for (const proposal of late) this.expireOne(proposal, why);
  }

  private expireOne(proposal: Proposal, why: () => v1.IErrorDetail): void {
    if (this.sent.delete(proposal.number))
      this.finish(proposal, { error: outcomeUnknown("its deadline passed") });
    else this.finish(proposal, { error: why() });
  }

  /** The process ends: what was never sent gets `error`, the rest may still happen. */
  close(error: v1.IErrorDetail): void {
    const waiting = this.queue;
    this.queue = [];
    for (const proposal of waiting) this.finish(proposal, { error });
    this.skipped(outcomeUnknown("this member stopped"));
  }

  private finish(proposal: Proposal, result: v1.ICommandResult): void {
    this.bytes -= proposal.command.length;
    proposal.done(result);
  }
}

/** For a command that was handed to a leader and whose fate nobody here will learn. */
export function outcomeUnknown(why: string): v1.IErrorDetail {
  return errorDetail(
    ErrorCode.OUTCOME_UNKNOWN,
    `the command was passed on, but ${why} before its result was known; it may or may not have happened`,
    { next: "repeat it under the same request id, or read the state" },
  );
}
