import assert from "node:assert/strict";
import { Entry, EntryKind, Message, MessageKind, type RaftId } from "../../src/raft/index.js";
import { CommitHold } from "../../src/replica/commit-hold.js";
import { World } from "./world.js";

const HOLD_MS = 2;
const ENTRY_HOLD_MS = 5;

function append(to: RaftId, commit: number, entries = 0, term = 3, before = 0): Message {
  const message = new Message(MessageKind.Append, 1, to, term);
  message.commit = commit;
  message.index = before;
  message.entries = Array.from(
    { length: entries },
    (_, i) => new Entry(term, before + i + 1, EntryKind.Normal, new Uint8Array(1)),
  );
  return message;
}

function start(passedBy: (peer: RaftId) => number = () => 0, onlyWaiter: () => RaftId = () => 0) {
  const world = new World(1);
  const released: Message[] = [];
  const state = { callsParked: false };
  const hold = new CommitHold({
    clock: world.clock,
    scheduler: world.scheduler,
    holdMs: HOLD_MS,
    entryHoldMs: ENTRY_HOLD_MS,
    passedBy,
    onlyWaiter,
    callsParked: () => state.callsParked,
    release: (messages) => void released.push(...messages),
  });
  return { world, hold, released, state };
}

describe("commit hold", () => {
  it("keeps it from a peer that was told of the leader's disk, and so knows of its command's commit", () => {
    const { hold } = start(() => 5);
    const durable = new Message(MessageKind.Durable, 1, 2, 3);
    durable.index = 5;
    assert.deepEqual(hold.sift([durable]), [durable]);
    const messages = [append(2, 5), append(3, 5)];
    assert.deepEqual(hold.sift(messages), [messages[1]]);
    assert.deepEqual(hold.sift([append(2, 5, 0, 4)]).length, 1, "what was said in another term is forgotten");
  });

  it("keeps a lone commit index for the next append, which has it anyway", async () => {
    const { world, hold, released } = start();
    assert.deepEqual(hold.sift([append(2, 5), append(3, 5)]), []);
    const next = [append(2, 5, 1), append(3, 5, 1)];
    assert.deepEqual(hold.sift(next), next);
    await world.pass(10 * HOLD_MS);
    assert.deepEqual(released, []);
  });

  it("sends the newest alone after its time when no append comes", async () => {
    const { world, hold, released } = start();
    hold.sift([append(2, 5)]);
    await world.pass(HOLD_MS / 2);
    hold.sift([append(2, 6)]);
    await world.pass(HOLD_MS);
    assert.deepEqual(
      released.map(({ to, commit }) => [to, commit]),
      [[2, 6]],
    );
    await world.pass(10 * HOLD_MS);
    assert.equal(released.length, 1);
  });

  it("sends at once to a peer whose own command may be committed with it", () => {
    const { hold } = start((peer) => (peer === 3 ? 5 : 0));
    const messages = [append(2, 5), append(3, 5)];
    assert.deepEqual(hold.sift(messages), [messages[1]]);
    assert.deepEqual(hold.sift([append(3, 6)]), [], "it knows of its command by now");
  });

  it("lets the commit index go before the answer to a read", () => {
    const { hold } = start();
    const commit = append(2, 5);
    const answer = new Message(MessageKind.ReadIndexResponse, 1, 2, 3);
    assert.deepEqual(hold.sift([commit]), []);
    assert.deepEqual(hold.sift([answer]), [commit, answer]);
  });

  it("keeps nothing that tells no new commit index, and nothing of an earlier term", async () => {
    const { world, hold, released } = start();
    const probe = append(2, 0);
    assert.deepEqual(hold.sift([probe]), [probe]);
    hold.sift([append(2, 5)]);
    const first = append(3, 5, 1, 4);
    assert.deepEqual(hold.sift([first]), [first]);
    await world.pass(10 * HOLD_MS);
    assert.deepEqual(released, []);
  });

  it("leaves everything else as it is", () => {
    const { hold } = start();
    const messages = [append(2, 5, 2), new Message(MessageKind.Heartbeat, 1, 2, 3), append(3, 5, 1)];
    assert.equal(hold.sift(messages), messages);
  });

  describe("entries that one member alone waits for", () => {
    /** A client of member 2 waits for entry 6, and nobody else. */
    const startFor2 = () =>
      start(
        (peer) => (peer === 2 ? 6 : 0),
        () => 2,
      );
    const entries = (to: RaftId): Message => append(to, 5, 1, 3, 5);

    const entry = (index: number, commit = 5, bytes = 1): Message => {
      const message = append(3, commit, 0, 3, index - 1);
      message.entries = [new Entry(3, index, EntryKind.Normal, new Uint8Array(bytes))];
      return message;
    };
    const indices = (message: Message | undefined) => message?.entries.map(({ index }) => index);

    it("go to it at once, and to the others in one message with the commit index of half their time later", async () => {
      const { world, hold, released } = startFor2();
      hold.sift([append(2, 5, 1, 3, 4), append(3, 5, 1, 3, 4), append(3, 5, 0, 3, 5)]);
      await world.pass(10 * ENTRY_HOLD_MS);
      released.length = 0;
      const first = entries(2);
      assert.deepEqual(hold.sift([first, entry(6)]), [first]);
      await world.pass(ENTRY_HOLD_MS / 2 - 1);
      assert.deepEqual(hold.sift([append(3, 6, 0, 3, 6)]), [], "another command may follow");
      assert.deepEqual(hold.sift([entry(7, 6)]), []);
      await world.pass(1);
      const [all, ...more] = hold.sift([append(3, 7, 0, 3, 7)]);
      assert.deepEqual(more, []);
      assert.deepEqual([all?.to, all?.index, all?.logTerm, all?.commit], [3, 5, 0, 7]);
      assert.deepEqual(indices(all), [6, 7]);
      await world.pass(10 * ENTRY_HOLD_MS);
      assert.deepEqual(released, [], "nothing is sent twice");
      assert.deepEqual(hold.sift([append(3, 7, 0, 3, 7)]).length, 1, "their commit counts as told");
    });

    it("go to the others after their time when the two do not decide, whatever came since", async () => {
      const { world, hold, released } = startFor2();
      hold.sift([entry(6)]);
      await world.pass(ENTRY_HOLD_MS - 1);
      hold.sift([entry(7)]);
      assert.deepEqual(released, []);
      await world.pass(1);
      assert.deepEqual(released.map(indices), [[6, 7]]);
    });

    it("do not make a lone commit index to another peer wait as long", async () => {
      const { world, hold, released } = startFor2();
      hold.sift([entry(6), append(4, 5)]);
      await world.pass(HOLD_MS);
      assert.deepEqual(
        released.map(({ to }) => to),
        [4],
      );
      await world.pass(ENTRY_HOLD_MS - HOLD_MS);
      assert.deepEqual(released.map(indices), [[], [6]]);
    });

    it("go with the first commit index while a call is parked, whose answer they may be", async () => {
      const { hold, state } = startFor2();
      state.callsParked = true;
      assert.deepEqual(hold.sift([entry(6)]), []);
      const [all, ...more] = hold.sift([append(3, 6, 0, 3, 6)]);
      assert.deepEqual([indices(all), all?.commit, more], [[6], 6, []]);
    });

    it("go as soon as a call is parked by what was applied", async () => {
      const { world, hold, released, state } = startFor2();
      hold.sift([entry(6), append(4, 5)]);
      hold.sift([append(3, 6, 0, 3, 6)]);
      hold.applied();
      assert.equal(released.length, 0);
      state.callsParked = true;
      hold.applied();
      assert.deepEqual(
        released.map((message) => [indices(message), message.commit]),
        [[[6], 6]],
        "and no lone commit index",
      );
      await world.pass(10 * ENTRY_HOLD_MS);
      assert.equal(released.length, 2);
    });

    it("gather up to 16, and up to 64 KB", () => {
      const { hold } = startFor2();
      for (let index = 6; index < 22; index++) assert.deepEqual(hold.sift([entry(index)]), []);
      const late = entry(22);
      const [kept, next, ...more] = hold.sift([late]);
      assert.deepEqual([kept?.entries.length, next, more], [16, late, []]);
      const large = startFor2().hold;
      assert.deepEqual(large.sift([entry(6, 5, 65_536 - 100)]), []);
      assert.deepEqual(large.sift([entry(7, 5, 100)]), []);
      assert.equal(large.sift([entry(8, 5, 1)]).length, 2);
    });

    it("go before whatever else the others get: a gap, another membership; or with it, if somebody waits", () => {
      const later = [append(3, 6, 0, 3, 4), append(3, 6, 0, 3, 6)];
      (later[1] as Message).session = 9;
      for (const next of later) {
        const { hold } = startFor2();
        const kept = entries(3);
        assert.deepEqual(hold.sift([kept]), []);
        assert.deepEqual(hold.sift([next]), [kept, next]);
      }
      const { hold } = startFor2();
      const kept = entries(3);
      const answer = new Message(MessageKind.ReadIndexResponse, 1, 3, 3);
      hold.sift([kept]);
      assert.deepEqual(hold.sift([answer]), [kept, answer]);
      let waiter = 2;
      const mixed = start(
        () => 0,
        () => waiter,
      ).hold;
      assert.deepEqual(mixed.sift([entry(6)]), []);
      waiter = 0;
      const [all, ...more] = mixed.sift([entry(7)]);
      assert.deepEqual([indices(all), more], [[6, 7], []]);
    });

    it("are not kept from one that waits for the commit index they carry, nor in another term", async () => {
      const { world, hold, released } = start(
        () => 5,
        () => 2,
      );
      const due = entries(3);
      assert.deepEqual(hold.sift([due]), [due], "its own command 5 is committed");
      assert.deepEqual(hold.sift([append(3, 5, 1, 3, 6)]), []);
      const next = append(2, 7, 1, 4, 7);
      assert.deepEqual(hold.sift([next]), [next]);
      await world.pass(10 * HOLD_MS);
      assert.deepEqual(released, []);
    });
  });
});
