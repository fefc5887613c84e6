import assert from "node:assert/strict";
import type { CoordinatorClient } from "../../src/coordinator/api.js";
import { leaseDefaults } from "../../src/filenode/lease-options.js";
import { LeaseKeeper } from "../../src/filenode/lease-keeper.js";
import { memoryLog, memoryMeter, Prng, type Scheduler } from "../../src/runtime/index.js";
import type { v1 } from "../../src/wire/index.js";

/** Virtual time that the test moves on in steps. */
class Hours {
  nowMs = 0;
  private readonly due: { atMs: number; run: () => void; off: boolean }[] = [];
  readonly clock = { monotonicMs: () => this.nowMs, wallMs: () => this.nowMs };
  readonly scheduler: Scheduler = {
    after: (delayMs, run) => {
      const timer = { atMs: this.nowMs + delayMs, run, off: false };
      this.due.push(timer);
      return { cancel: () => (timer.off = true) };
    },
    soon: (run) => void this.due.push({ atMs: this.nowMs, run, off: false }),
  };

  async pass(ms: number): Promise<void> {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += 10) {
      for (const timer of this.due.splice(0))
        if (timer.off) continue;
        else if (timer.atMs <= this.nowMs) timer.run();
        else this.due.push(timer);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

describe("the lease keeper", () => {
  it("finds the coordinators within a lease time when it registers before they are in the state", async () => {
    const hours = new Hours();
    let members: v1.IMemberRecord[] = [];
    const coordinator = {
      execute: async () => ({}),
      query: async () => ({ members }),
    } as unknown as CoordinatorClient;
    const sent: number[] = [];
    const keeper = new LeaseKeeper({
      runtime: {
        clock: hours.clock,
        scheduler: hours.scheduler,
        random: Prng.fromSeed(1),
        log: memoryLog(),
        meter: memoryMeter(),
      },
      coordinator,
      network: {
        setCoordinators: () => {},
        send: () => sent.push(hours.nowMs),
        onResponse: () => {},
        close: () => {},
      },
      shares: new Map(),
      node: { name: "n1" },
      nextIncarnation: async () => 1,
      onRegistered: () => {},
    });
    await keeper.start();
    await hours.pass(100);
    assert.deepEqual(sent, []);
    members = [{ raftId: 1, name: "n1", grpcAddress: "127.0.0.1:1" }];
    await hours.pass(leaseDefaults.leaseMs);
    keeper.stop();
    const first = sent.length > 0 ? Math.min(...sent) : Number.POSITIVE_INFINITY;
    assert.ok(first < leaseDefaults.leaseMs, `first heartbeat at ${first} ms`);
  });
});
