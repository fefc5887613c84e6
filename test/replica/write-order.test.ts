import assert from "node:assert/strict";
import type { PersistBatch } from "../../src/raft/index.js";
import { WriteOrder } from "../../src/replica/write-order.js";

const batch = (seq: number, mustSync = true): PersistBatch => ({
  seq,
  hardState: null,
  entries: [],
  snapshot: null,
  mustSync,
  after: [],
});

function start() {
  const written: number[] = [];
  const durable: number[] = [];
  const dones: ((error: Error | null) => void)[] = [];
  const later: (() => void)[] = [];
  const order = new WriteOrder(
    {
      persist: ({ seq }, done) => {
        written.push(seq);
        dones.push(done);
      },
    },
    ({ seq }) => void durable.push(seq),
    (error) => assert.fail(error),
    (run) => void later.push(run),
  );
  return { order, written, durable, dones, later };
}

describe("write order", () => {
  it("hands a batch over at once, and what belongs to messages after they had their turn", () => {
    const { order, written, later } = start();
    order.write(batch(1));
    order.write(batch(2), true);
    order.write(batch(3), true);
    assert.deepEqual(written, [1]);
    assert.equal(later.length, 1);
    later[0]?.();
    assert.deepEqual(written, [1, 2, 3]);
  });

  it("never lets a batch overtake one that waits", () => {
    const { order, written, later } = start();
    order.write(batch(1), true);
    order.write(batch(2));
    assert.deepEqual(written, [1, 2]);
    later[0]?.();
    assert.deepEqual(written, [1, 2], "each once");
  });

  it("tells in order what is durable: a batch without a sync waits for those before it, also while they wait", () => {
    const { order, durable, dones, later } = start();
    order.write(batch(1), true);
    order.write(batch(2, false));
    assert.deepEqual(durable, []);
    later[0]?.();
    assert.deepEqual(durable, []);
    dones[0]?.(null);
    assert.deepEqual(durable, [1, 2]);
  });
});
