import assert from "node:assert/strict";
import { Simulation } from "../../src/testing/sim/simulation.js";

describe("virtual time", () => {
  it("runs events by time, and in the order of planning within one microsecond", () => {
    const sim = new Simulation(1);
    const order: string[] = [];
    sim.after(20, () => order.push("c"));
    sim.after(10, () => {
      order.push("a");
      sim.after(0, () => order.push("b"));
    });
    sim.after(20, () => order.push("d"));
    sim.after(15, () => order.push("never")).cancel();
    sim.runUntil(100);
    assert.deepEqual(order, ["a", "b", "c", "d"]);
    assert.equal(sim.nowUs, 100);
  });

  it("keeps the order of a heap under thousands of random times", () => {
    const sim = new Simulation(2);
    const prng = sim.seeds.stream("times");
    let last = -1;
    let count = 0;
    for (let i = 0; i < 5000; i++) {
      const event = sim.after(prng.below(1000), () => {
        assert.ok(sim.nowUs >= last);
        last = sim.nowUs;
        count++;
      });
      if (i % 5 === 0) event.cancel();
    }
    sim.runUntil(1000);
    assert.equal(count, 4000);
  });

  it("runs all microtasks of an event before the next one", async () => {
    const sim = new Simulation(3);
    const order: string[] = [];
    const deep = async (name: string): Promise<void> => {
      for (let i = 0; i < 20; i++) await Promise.resolve();
      order.push(name);
    };
    sim.after(1, () => void deep("first"));
    sim.after(2, () => void deep("second"));
    sim.after(3, () => order.push("third"));
    await sim.runAsyncUntil(10);
    assert.deepEqual(order, ["first", "second", "third"]);
  });
});
