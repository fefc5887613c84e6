import assert from "node:assert/strict";
import { Entry, EntryKind, Message, MessageKind } from "../../src/raft/index.js";
import {
  AckCoverage,
  CommittedLedger,
  type DiskView,
  DurableCommit,
  DurableVote,
  EffectContract,
  ElectionSafety,
  FlowControl,
  LeaderCompleteness,
  LogMatching,
  type MemberView,
  Monotone,
  StateDigest,
  StateMachineSafety,
} from "../../src/testing/checkers/index.js";
import { Violation } from "../../src/testing/sim/simulation.js";

function caught(run: () => void, checker: string): void {
  assert.throws(run, (error) => error instanceof Violation && error.checker === checker);
}

function disk(term: number, vote: number, terms: readonly number[], snapshotIndex = 0): DiskView {
  return {
    term,
    vote,
    snapshotIndex,
    lastIndex: snapshotIndex + terms.length,
    logWrittenInTerm: terms.at(-1) ?? 0,
    everHeld: (index, entryTerm) => index <= snapshotIndex || terms[index - snapshotIndex - 1] === entryTerm,
    termAt: (index) => terms[index - snapshotIndex - 1] ?? -1,
  };
}

describe("checkers of the consensus core", () => {
  it("election safety: two leaders of one term", () => {
    const checker = new ElectionSafety();
    checker.leads(1, 4);
    checker.leads(1, 4);
    checker.leads(2, 5);
    caught(() => checker.leads(2, 4), "election safety");
  });

  it("log matching: other data, another term before it, falling terms", () => {
    const checker = new LogMatching();
    checker.entered(1, 10, 3, 2, 0xabc);
    checker.entered(2, 10, 3, 2, 0xabc);
    checker.entered(2, 10, 4, 2, 0xdef);
    caught(() => checker.entered(3, 10, 3, 2, 0x123), "log matching");
    caught(() => checker.entered(3, 10, 3, 1, 0xabc), "log matching");
    caught(() => checker.entered(3, 11, 3, 4, 0xabc), "log matching");
    checker.entered(1, 12, 5, -1, 0x77);
    checker.entered(2, 12, 5, 4, 0x77);
    checker.entered(3, 12, 5, -1, 0x77);
    caught(() => checker.entered(3, 12, 5, 3, 0x77), "log matching");
  });

  it("committed immutable: another term or other data at a committed index", () => {
    const ledger = new CommittedLedger();
    assert.equal(ledger.committed(1, 7, 2, 11), true);
    assert.equal(ledger.committed(2, 7, 2, 11), false);
    caught(() => ledger.committed(2, 7, 3, 11), "committed immutable");
    caught(() => ledger.committed(2, 7, 2, 12), "committed immutable");
  });

  it("leader completeness: a leader whose log ends early or differs", () => {
    const ledger = new CommittedLedger();
    ledger.committed(1, 5, 2, 11);
    const checker = new LeaderCompleteness(ledger);
    const log = (first: number, terms: readonly number[]) => ({
      firstIndex: first,
      lastIndex: first + terms.length - 1,
      termAt: (index: number) => terms[index - first] ?? -1,
    });
    checker.elected(2, 3, log(5, [2]));
    checker.elected(2, 3, log(6, []));
    checker.elected(2, 2, log(1, [1]));
    caught(() => checker.elected(2, 3, log(1, [1, 1, 1, 2])), "leader completeness");
    caught(() => checker.elected(2, 3, log(5, [1])), "leader completeness");
    // An entry of term 2 that the leader of term 4 has committed: late votes for term 3 elect somebody without it.
    ledger.committed(3, 6, 2, 12, 4);
    checker.elected(2, 3, log(5, [2, 3]));
    caught(() => checker.elected(2, 5, log(5, [2, 3])), "leader completeness");
  });

  it("state machine safety: another command at an index, a gap, a repetition", () => {
    const checker = new StateMachineSafety();
    checker.restored(1, 4);
    checker.restored(2, 4);
    checker.applies(1, 5, 77);
    checker.applies(2, 5, 77);
    caught(() => checker.applies(1, 5, 77), "state machine safety");
    caught(() => checker.applies(2, 7, 1), "state machine safety");
    checker.applies(1, 6, 78);
    caught(() => checker.applies(2, 6, 79), "state machine safety");
  });

  it("durable commit: a majority of disks, of both halves while joint", () => {
    const checker = new DurableCommit();
    const disks: Record<number, DiskView> = {
      1: disk(2, 1, [1, 2]),
      2: disk(2, 1, [1, 2]),
      3: disk(2, 1, [1]),
      4: disk(2, 1, [1]),
      5: disk(2, 1, [], 9),
    };
    const view = (voter: number): DiskView | null => disks[voter] ?? null;
    checker.advanced(1, 2, 2, { voters: [1, 2, 3], votersOutgoing: [] }, view);
    checker.advanced(1, 2, 2, { voters: [1, 3, 5], votersOutgoing: [] }, view);
    const problem = "committed on a durable quorum";
    caught(() => checker.advanced(1, 2, 2, { voters: [1, 3, 4], votersOutgoing: [] }, view), problem);
    caught(() => checker.advanced(1, 2, 2, { voters: [1, 2, 3, 4], votersOutgoing: [] }, view), problem);
    caught(() => checker.advanced(1, 2, 2, { voters: [1, 2, 3], votersOutgoing: [3, 4] }, view), problem);
  });

  it("monotone: falling term, commit and applied, a changed vote, boundaries out of order", () => {
    const view: MemberView = {
      term: 3,
      vote: 2,
      commit: 8,
      applied: 7,
      firstIndex: 2,
      lastIndex: 9,
      durableIndex: 9,
    };
    const wrong: Partial<MemberView>[] = [
      { term: 2 },
      { commit: 7 },
      { applied: 6 },
      { vote: 1 },
      { applied: 9 },
      { commit: 10 },
      { durableIndex: 10 },
      { firstIndex: 10 },
    ];
    for (const change of wrong) {
      const checker = new Monotone();
      checker.observe(1, view);
      checker.observe(1, view);
      caught(() => checker.observe(1, { ...view, ...change }), "monotone");
      checker.restarted(1);
    }
    const checker = new Monotone();
    checker.observe(1, view);
    checker.observe(1, { ...view, term: 4, vote: 1 });
    checker.restarted(1);
    checker.observe(1, { ...view, commit: 7, applied: 5 });
  });

  it("equal digests: a member that differs at the same index", () => {
    const checker = new StateDigest();
    checker.observe(1, 5, 100);
    checker.observe(2, 6, 101);
    checker.observe(2, 5, 100);
    caught(() => checker.observe(3, 6, 102), "equal state digests");
  });

  it("effect contract: promises that the sender's disk does not know, unless a later leader has replaced it", () => {
    const checker = new EffectContract();
    const message = (kind: MessageKind, change: (message: Message) => void): Message => {
      const built = new Message(kind, 1, 2, 5);
      change(built);
      return built;
    };
    const ok = disk(5, 2, [1, 5]);
    const ack = (index: number) => message(MessageKind.AppendResponse, (m) => (m.index = index));
    checker.leaves(ack(2), ok);
    caught(() => checker.leaves(ack(3), ok), "effect contract");
    caught(() => checker.leaves(ack(2), disk(4, 2, [1, 5])), "effect contract");
    const late = { ...disk(6, 0, [1, 4]), logWrittenInTerm: 6 };
    checker.leaves(ack(3), late);
    caught(() => checker.leaves(ack(3), { ...late, logWrittenInTerm: 5 }), "effect contract");
    caught(() => checker.leaves(ack(3), disk(6, 0, [1, 4])), "effect contract");
    const grant = message(MessageKind.VoteResponse, () => undefined);
    checker.leaves(grant, ok);
    caught(() => checker.leaves(grant, disk(5, 3, [])), "effect contract");
    caught(() => checker.leaves(grant, disk(4, 2, [])), "effect contract");
    const ask = message(MessageKind.Vote, (m) => {
      m.index = 2;
      m.logTerm = 5;
    });
    checker.leaves(ask, disk(5, 1, [1, 5]));
    caught(() => checker.leaves(ask, disk(5, 0, [1, 5])), "effect contract");
    caught(() => checker.leaves(ask, disk(5, 1, [1])), "effect contract");
    caught(
      () =>
        checker.leaves(
          message(MessageKind.Heartbeat, () => undefined),
          disk(4, 0, []),
        ),
      "effect contract",
    );
  });

  it("effect contract: an acknowledged entry that is another one on the disk, or never was on it", () => {
    const checker = new EffectContract();
    const append = new Message(MessageKind.Append, 1, 2, 5);
    append.index = 1;
    append.logTerm = 1;
    append.entries = [new Entry(5, 2, EntryKind.Normal, new Uint8Array(0))];
    checker.leaves(append, disk(5, 1, [1, 5]));
    const ack = new Message(MessageKind.AppendResponse, 2, 1, 5);
    ack.index = 2;
    checker.leaves(ack, disk(5, 1, [1, 5]));
    caught(() => checker.leaves(ack, disk(5, 1, [1, 4])), "effect contract");
    const replaced = { ...disk(6, 0, [1, 6]), everHeld: () => true };
    checker.leaves(ack, replaced);
    caught(() => checker.leaves(ack, { ...replaced, logWrittenInTerm: 5 }), "effect contract");
    caught(() => checker.leaves(ack, { ...replaced, everHeld: () => false }), "effect contract");
    checker.leaves(ack, disk(7, 0, [], 3));
  });

  it("effect contract: an acknowledged entry that a later leader replaced in the turn that took it in", () => {
    const checker = new EffectContract();
    const append = new Message(MessageKind.Append, 1, 2, 6);
    append.index = 19;
    append.entries = [new Entry(6, 20, EntryKind.Normal, new Uint8Array(0))];
    checker.leaves(append, { ...disk(6, 1, []), lastIndex: 20 });
    const ack = new Message(MessageKind.AppendResponse, 2, 1, 6);
    ack.index = 20;
    const replaced = {
      ...disk(7, 3, []),
      logWrittenInTerm: 7,
      lastIndex: 20,
      everHeld: () => false,
      termAt: () => 7,
    };
    caught(() => checker.leaves(ack, replaced), "effect contract");
    checker.delivered(append);
    checker.leaves(ack, replaced);
    caught(() => checker.leaves(ack, { ...replaced, logWrittenInTerm: 6 }), "effect contract");
    append.to = 3;
    const other = new Message(MessageKind.AppendResponse, 3, 1, 6);
    other.index = 20;
    caught(() => checker.leaves(other, replaced), "effect contract");
  });

  it("acknowledgement coverage: more than the term's leader has sent", () => {
    const checker = new AckCoverage();
    const append = new Message(MessageKind.Append, 1, 2, 5);
    append.index = 7;
    checker.delivered(append);
    const ack = (index: number, term = 5): Message => {
      const message = new Message(MessageKind.AppendResponse, 2, 1, term);
      message.index = index;
      return message;
    };
    checker.leaves(ack(7), 0);
    checker.leaves(ack(9), 9);
    caught(() => checker.leaves(ack(8), 7), "acknowledgement coverage");
    caught(() => checker.leaves(ack(7, 6), 6), "acknowledgement coverage");
  });

  it("durable vote: a second vote in a term, a falling term, an election by a minority of a half", () => {
    const checker = new DurableVote();
    checker.stores(1, 4, 0);
    checker.stores(1, 4, 2);
    checker.stores(1, 4, 2);
    caught(() => checker.stores(1, 4, 3), "durable vote");
    checker.stores(1, 5, 3);
    caught(() => checker.stores(1, 4, 2), "durable vote");
    checker.restarted(1, disk(4, 2, []));
    caught(() => checker.stores(1, 4, 0), "durable vote");
    const disks: Record<number, DiskView> = {
      1: disk(6, 1, []),
      2: disk(6, 1, []),
      3: disk(6, 3, []),
      4: disk(7, 0, []),
    };
    const view = (voter: number): DiskView | null => disks[voter] ?? null;
    checker.elected(1, 6, { voters: [1, 2, 3], votersOutgoing: [] }, view);
    checker.elected(1, 6, { voters: [1, 3, 4], votersOutgoing: [] }, view);
    const problem = "elected by a durable majority";
    caught(() => checker.elected(1, 6, { voters: [1, 3], votersOutgoing: [] }, view), problem);
    caught(() => checker.elected(1, 6, { voters: [1, 2], votersOutgoing: [3] }, view), problem);
  });

  it("flow control: windows in messages and bytes, match below next, the uncommitted tail", () => {
    const checker = new FlowControl();
    const limits = { inflightMessagesMax: 2, inflightBytesMax: 100, uncommittedBytesMax: 50 };
    const window = { id: 2, match: 3, next: 5, inflightMessages: 2, inflightBytes: 109 };
    checker.window(1, window, limits, 10);
    for (const wrong of [{ inflightMessages: 3 }, { inflightBytes: 110 }, { match: 5 }]) {
      caught(() => checker.window(1, { ...window, ...wrong }, limits, 10), "flow control");
    }
    checker.uncommitted(1, 60, limits, 10);
    caught(() => checker.uncommitted(1, 61, limits, 10), "flow control");
  });
});
