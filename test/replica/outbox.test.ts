import assert from "node:assert/strict";
import { Outbox } from "../../src/replica/outbox.js";
import { Entry, EntryKind, Message, MessageKind } from "../../src/raft/index.js";
import type { Transport } from "../../src/transport/api.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";

function append(to: number, index: number, bytes: number): Message {
  const message = new Message(MessageKind.Append, 1, to, 3);
  message.index = index;
  message.entries = [new Entry(3, index + 1, EntryKind.Normal, new Uint8Array(bytes))];
  return message;
}

describe("outbox", () => {
  it("makes one frame a peer of a turn, and several when they grow large, in order", () => {
    const sent: [number, v1.IPeerFrame][] = [];
    const transport = {
      send: (to: number, frame: v1.IPeerFrame) => void sent.push([to, frame]),
    } as unknown as Transport;
    const outbox = new Outbox(() => transport);
    outbox.send([append(2, 1, 100), append(3, 1, 100), append(2, 2, 100), append(3, 2, 100)]);
    assert.deepEqual(
      sent.map(([to, frame]) => [to, frame.raft?.messages?.length]),
      [
        [2, 2],
        [3, 2],
      ],
    );
    sent.length = 0;
    outbox.send(Array.from({ length: 40 }, (_, i) => append(2, i + 1, 256 * 1024)));
    const order = sent.flatMap(([, frame]) => (frame.raft?.messages ?? []).map((m) => Number(m.index)));
    assert.deepEqual(
      order,
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
    for (const [, frame] of sent)
      assert.ok(
        v1.PeerFrame.encode(frame).finish().length < limits.messageBytesMax / 2,
        "a peer would refuse it",
      );
    sent.length = 0;
    outbox.send([]);
    assert.equal(sent.length, 0);
  });
});
