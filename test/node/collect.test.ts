import assert from "node:assert/strict";
import { collectLargeHeap } from "../../src/node/collect.js";

/** In a turn of its own: a weak reference holds what it refers to until the turn ends that made it. */
async function garbage(): Promise<WeakRef<object>> {
  const reference = new WeakRef<object>({ large: new Array(1000).fill("x") });
  await new Promise((resolve) => setImmediate(resolve));
  return reference;
}

describe("collection of a large heap", () => {
  it("takes what nobody refers to, in a process that was started without a flag for it", async () => {
    const reference = await garbage();
    assert.equal(collectLargeHeap(0), true);
    assert.equal(reference.deref(), undefined);
    assert.equal((globalThis as { gc?: unknown }).gc, undefined);
  });

  it("leaves a small heap to the engine", async () => {
    assert.equal(collectLargeHeap(Number.MAX_SAFE_INTEGER), false);
  });
});
