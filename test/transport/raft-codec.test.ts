import assert from "node:assert/strict";
import fc from "fast-check";
import { Entry, EntryKind, Message, MessageKind, type Entry as EntryType } from "../../src/raft/index.js";
import { fromWire, invalidMessage, toWire } from "../../src/transport/raft-codec.js";
import { v1 } from "../../src/wire/index.js";

const position = fc.oneof(
  fc.integer({ min: 0, max: 1000 }),
  fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1),
);

/** Kinds that never come from another member. */
const LOCAL: readonly number[] = [MessageKind.Propose, MessageKind.ForgetLeader];

const anyMessage = fc
  .record({
    kind: fc.constantFrom(...Object.values(MessageKind).filter((kind) => !LOCAL.includes(kind))),
    term: position,
    logTerm: position,
    index: fc.oneof(fc.integer({ min: 0, max: 1000 }), fc.constantFrom(2 ** 31 - 2, 2 ** 53 - 50)),
    commit: position,
    reject: fc.boolean(),
    rejectHint: position,
    readPosition: position,
    readRequest: position,
    forced: fc.boolean(),
    data: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }),
    snapshot: fc.boolean(),
  })
  .map((parts) => {
    const message = new Message(parts.kind as MessageKind, 1, 2, parts.term);
    message.logTerm = Math.min(parts.logTerm, parts.term);
    message.index = parts.index;
    message.commit = parts.commit;
    message.reject = parts.reject;
    message.rejectHint = parts.rejectHint;
    message.readPosition = parts.readPosition;
    message.readRequest = parts.readRequest;
    message.session = parts.readPosition;
    message.forced = parts.forced;
    const carried = parts.kind === MessageKind.Append ? parts.data : [];
    message.entries = carried.map(
      (data, i) => new Entry(parts.term, parts.index + 1 + i, EntryKind.Normal, data),
    );
    if (parts.snapshot || parts.kind === MessageKind.Snapshot)
      message.snapshot = {
        index: parts.commit,
        term: parts.term,
        confIndex: parts.index,
        confState: { voters: [1, 2], votersOutgoing: [3], learners: [4], learnersNext: [3], autoLeave: true },
      };
    return message;
  });

function overTheWire(message: Message): v1.IRaftMessage {
  return v1.RaftMessage.decode(v1.RaftMessage.encode(toWire(message)).finish());
}

function plainEntries(entries: readonly EntryType[]) {
  return entries.map((entry) => [entry.term, entry.index, entry.kind, [...entry.data]]);
}

describe("raft codec", () => {
  it("gives every message back as it was", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const wire = overTheWire(message);
        assert.equal(invalidMessage(wire, 1, 2), null);
        const back = fromWire(wire);
        assert.deepEqual(plainEntries(back.entries), plainEntries(message.entries));
        back.entries = message.entries;
        assert.deepEqual(back, message);
        assert.deepEqual(Object.keys(back), Object.keys(message), "one shape");
      }),
      { seed: Number(process.env["SEED"] ?? 1) },
    );
  });

  it("copies entry data out of the chunk that it came in", () => {
    const message = new Message(MessageKind.Append, 1, 2, 1);
    message.entries = [
      new Entry(1, 1, EntryKind.Normal, Buffer.from("abc")),
      new Entry(1, 2, EntryKind.Normal, Buffer.from("de")),
    ];
    const chunk = v1.RaftMessage.encode(toWire(message)).finish();
    const back = fromWire(v1.RaftMessage.decode(chunk));
    chunk.fill(0);
    assert.deepEqual(
      back.entries.map((entry) => Buffer.from(entry.data).toString()),
      ["abc", "de"],
    );
    assert.equal(back.entries[0]?.data.buffer.byteLength, 5, "one buffer of exactly the size");
  });

  const append = { kind: MessageKind.Append, from: 1, to: 2, term: 5, logTerm: 4, index: 10 };
  const newer = Math.max(...Object.values(MessageKind)) + 1;
  const entry = (index: number, term: number, kind = 0) => ({ index, term, kind, data: Buffer.from("x") });
  for (const [what, wire, reason] of [
    ["an unknown kind", { ...append, kind: newer }, new RegExp(`unknown message kind ${newer}`)],
    ["another sender than the link's", { ...append, from: 3 }, /member 3 on the link of member 1/],
    ["another receiver", { ...append, to: 3 }, /to member 3/],
    ["a term beyond 2^53-1", { ...append, term: (2n ** 60n) as unknown as number }, /beyond/],
    [
      "a proposal",
      { ...append, kind: MessageKind.Propose, entries: [entry(0, 0, 2)] },
      /kind 13 never comes/,
    ],
    ["forget-leader", { ...append, kind: MessageKind.ForgetLeader }, /kind 14 never comes/],
    [
      "entries beside an append",
      { ...append, kind: MessageKind.Heartbeat, entries: [entry(11, 5)] },
      /entries in a/,
    ],
    ["a gap in the entries", { ...append, entries: [entry(11, 5), entry(13, 5)] }, /out of order/],
    ["entries that do not continue the index", { ...append, entries: [entry(12, 5)] }, /out of order/],
    ["falling terms", { ...append, entries: [entry(11, 5), entry(12, 4)] }, /term 4 after 5/],
    ["an entry of a later term than the message", { ...append, entries: [entry(11, 6)] }, /term 6/],
    ["an unknown entry kind", { ...append, entries: [entry(11, 5, 9)] }, /entry kind 9/],
    ["a snapshot message without one", { ...append, kind: MessageKind.Snapshot }, /without a snapshot/],
    [
      "a snapshot without voters",
      { ...append, kind: MessageKind.Snapshot, snapshot: { index: 1, term: 1 } },
      /without voters/,
    ],
  ] as const)
    it(`refuses ${what}`, () => {
      assert.match(invalidMessage(wire as v1.IRaftMessage, 1, 2) ?? "accepted", reason);
    });
});
