import assert from "node:assert/strict";
import { FrameGather } from "../../src/wire/frame-gather.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { sizeAtMost } from "../../src/wire/size-at-most.js";

type Text = { readonly state: Uint8Array };

function gather() {
  const frames: number[] = [];
  const frame = new FrameGather<Text>({
    one: () => void frames.push(1),
    many: (messages) => void frames.push(messages.length),
  });
  return { frames, frame };
}

const small: Text = { state: new Uint8Array(10) };
const endOfTurn = () => new Promise<void>((resume) => setImmediate(resume));

describe("frame gather", () => {
  it("sends each message by itself, and at once, until the other side takes more", () => {
    const { frames, frame } = gather();
    for (let i = 0; i < 3; i++) frame.push(small);
    assert.deepEqual(frames, [1, 1, 1]);
    frame.otherTakes(0);
    frame.push(small);
    assert.deepEqual(frames, [1, 1, 1, 1]);
  });

  it("sends what one turn had as one frame at its end", async () => {
    const { frames, frame } = gather();
    frame.otherTakes(limits.frameCallsMax);
    for (let i = 0; i < 5; i++) frame.push(small);
    assert.deepEqual(frames, []);
    await endOfTurn();
    assert.deepEqual(frames, [5]);
    frame.push(small);
    await endOfTurn();
    assert.deepEqual(frames, [5, 1]);
  });

  it("puts no more into a frame than the other side takes, nor than the limit", async () => {
    const { frames, frame } = gather();
    frame.otherTakes(3);
    for (let i = 0; i < 7; i++) frame.push(small);
    await endOfTurn();
    assert.deepEqual(frames, [3, 3, 1]);
    frame.otherTakes(1_000_000);
    for (let i = 0; i < limits.frameCallsMax + 1; i++) frame.push(small);
    await endOfTurn();
    assert.deepEqual(frames, [3, 3, 1, limits.frameCallsMax, 1]);
  });

  it("closes a frame before it grows beyond its bytes; what is larger alone goes alone", async () => {
    const { frames, frame } = gather();
    frame.otherTakes(limits.frameCallsMax);
    const third = { state: new Uint8Array(limits.frameBytes / 3) };
    for (let i = 0; i < 3; i++) frame.push(third);
    frame.push({ state: new Uint8Array(limits.frameBytes * 2) });
    frame.push(small);
    await endOfTurn();
    assert.deepEqual(frames, [2, 1, 1, 1]);
  });

  it("sends nothing after it was closed", async () => {
    const { frames, frame } = gather();
    frame.otherTakes(limits.frameCallsMax);
    frame.push(small);
    frame.close();
    await endOfTurn();
    assert.deepEqual(frames, []);
  });
});

describe("size at most", () => {
  const messages: v1.ICoordinatorRequest[] = [
    {},
    { id: Number.MAX_SAFE_INTEGER, frameCallsMax: 2 ** 32 - 1 },
    { id: 1, query: { stale: true, cluster: {} } },
    { id: 9, query: { file: { share: "ä".repeat(40), path: "€/".repeat(300) } } },
    {
      id: 2,
      command: {
        storeKey: {
          key: "🙂".repeat(20),
          node: "n",
          epoch: 7,
          state: new Uint8Array(5_000),
          nodeIncarnation: 3,
        },
      },
    },
  ];

  for (const [i, message] of messages.entries())
    it(`is never below what is encoded: message ${i}`, () => {
      const encoded = v1.CoordinatorRequest.encode(message).finish().length;
      const bound = sizeAtMost(message, Number.MAX_SAFE_INTEGER);
      assert.ok(bound >= encoded, `${bound} below ${encoded}`);
      assert.ok(bound <= encoded * 3 + 100, `${bound} is far above ${encoded}`);
    });

  it("stops counting once it is enough", () => {
    let looked = 0;
    const many = Array.from({ length: 1_000 }, () => ({
      get state() {
        looked += 1;
        return new Uint8Array(100);
      },
    }));
    assert.ok(sizeAtMost({ many }, 1_000) >= 1_000);
    assert.ok(looked < 20, `looked at ${looked}`);
  });
});
