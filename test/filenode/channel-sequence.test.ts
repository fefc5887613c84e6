import assert from "node:assert/strict";
import { ChannelSequence } from "../../src/filenode/channel-sequence.js";

/** Admits and answers at once. */
function run(table: ChannelSequence, sequence: number, replay: boolean, modifying = true): boolean {
  const { admitted, ticket } = table.admit(sequence, replay, modifying);
  table.release(ticket);
  return admitted;
}

describe("the channel sequence of a handle (semantics.md B4)", () => {
  // smbtorture smb2.replay.channel-sequence, starting at 0.
  const table: readonly (readonly [sequence: number, admitted: boolean])[] = [
    [0, true],
    [0x8000, false],
    [0x8001, false],
    [0xc123, false],
    [0xffff, false],
    [0x7fff, true],
    [0x7ffe, false],
    [0, false],
    [0x1234, false],
    [0x8000, true],
    [0xffff, true],
    [0, true],
    [1, true],
    [0, false],
    [1, true],
    [0xffff, false],
  ];

  for (const replay of [false, true])
    it(`admits and refuses as the table says, ${replay ? "with" : "without"} the replay flag`, () => {
      const sequence = new ChannelSequence(0);
      for (const [value, admitted] of table)
        assert.equal(run(sequence, value, replay), admitted, `sequence 0x${value.toString(16)}`);
    });

  it("never refuses reads, and a newer read advances it", () => {
    const sequence = new ChannelSequence(5);
    assert.equal(run(sequence, 4, false, false), true);
    assert.equal(sequence.current, 5);
    assert.equal(run(sequence, 9, false, false), true);
    assert.equal(sequence.current, 9);
    assert.equal(run(sequence, 5, false), false);
  });

  it("refuses a replayed write while an older one still runs, and admits it afterwards", () => {
    const sequence = new ChannelSequence(0);
    const original = sequence.admit(0, false, true);
    assert.equal(sequence.admit(1, true, true).admitted, false);
    assert.equal(sequence.admit(1, true, true).admitted, false);
    sequence.release(original.ticket);
    assert.equal(run(sequence, 1, true), true);
  });

  it("admits a new write of a newer channel beside an older one", () => {
    const sequence = new ChannelSequence(0);
    sequence.admit(0, false, true);
    assert.equal(run(sequence, 1, false), true);
  });

  it("is not confused when the numbers come round under a long call (smbtorture replay7)", () => {
    const sequence = new ChannelSequence(0);
    const long = sequence.admit(0, false, false);
    for (const value of [0x7000, 0xe000, 0]) assert.equal(run(sequence, value, false), true);
    assert.equal(sequence.current, 0);
    sequence.release(long.ticket);
    assert.equal(run(sequence, 0, true), true, "the long call was counted for the wrong generation");
    assert.equal(run(sequence, 1, true), true);
  });

  it("says when a newer sequence has to be recorded, also if the request is refused", () => {
    const sequence = new ChannelSequence(0);
    assert.equal(sequence.admit(0, false, true).advanced, false);
    const refused = sequence.admit(2, true, true);
    assert.deepEqual([refused.admitted, refused.advanced], [false, true]);
  });
});
