import assert from "node:assert/strict";
import { realClock, realRandom, realScheduler } from "../../src/runtime/index.js";

describe("the real runtime", () => {
  it("has a monotonic clock with fractions that goes on", async () => {
    const before = realClock.monotonicMs();
    await new Promise<void>((resolve) => void realScheduler.after(5, resolve));
    const passedMs = realClock.monotonicMs() - before;
    assert(passedMs >= 4, `${passedMs} ms`);
    const earliest = Date.now();
    const wallMs = realClock.wallMs();
    assert(wallMs >= earliest - 1 && wallMs <= Date.now() + 1, `${wallMs} ms`);
  });

  it("runs what is due, not what was cancelled, and nothing inside the call", async () => {
    const ran: string[] = [];
    realScheduler.after(1, () => ran.push("cancelled")).cancel();
    realScheduler.after(-5, () => ran.push("late"));
    realScheduler.soon(() => ran.push("soon"));
    assert.deepEqual(ran, []);
    await new Promise<void>((resolve) => void realScheduler.after(20, resolve));
    assert.deepEqual(new Set(ran), new Set(["late", "soon"]));
  });

  it("draws within bounds", () => {
    assert.equal(realRandom.bytes(16).length, 16);
    assert.equal(realRandom.below(1), 0);
    for (let i = 0; i < 100; i++) assert([0, 1, 2].includes(realRandom.below(3)));
    assert(realRandom.below(2 ** 32) < 2 ** 32);
  });
});
