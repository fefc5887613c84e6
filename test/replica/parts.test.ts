import assert from "node:assert/strict";
import { ApplyQueue } from "../../src/replica/apply-queue.js";
import { ClusterTime } from "../../src/replica/cluster-time.js";
import { ForwardFilter } from "../../src/replica/forward-filter.js";
import { growsState } from "../../src/replica/growth.js";
import { commandKind, decodeLogRecord, encodeLogRecord, RecordSpace } from "../../src/replica/log-record.js";
import { Ticker } from "../../src/replica/ticker.js";
import { Entry, EntryKind } from "../../src/raft/index.js";
import { Prng } from "../../src/runtime/index.js";
import { v1 } from "../../src/wire/index.js";
import { World } from "./world.js";

describe("log record", () => {
  it("is byte for byte what the generated code writes, at every size of number", () => {
    const numbers = [
      1,
      127,
      128,
      2 ** 14,
      2 ** 21 - 1,
      2 ** 28,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 32,
      2 ** 35,
      2 ** 42,
      2 ** 49,
      2 ** 53 - 1,
    ];
    for (const n of numbers) {
      for (const length of [1, 127, 128, 20_000]) {
        const command = new Uint8Array(length).fill(7);
        const origin = Math.min(n, 2 ** 32 - 1);
        const own = encodeLogRecord(n, origin, n, n, command);
        const generated = v1.LogRecord.encode({
          clusterTimeMs: n,
          origin,
          originIncarnation: n,
          proposal: n,
          command,
        }).finish();
        assert.deepEqual(Buffer.from(own), Buffer.from(generated), `${n}, ${length} bytes`);
        assert.deepEqual(decodeLogRecord(own), {
          clusterTimeMs: n,
          origin,
          originBoot: n,
          proposal: n,
          command: decodeLogRecord(own).command,
        });
      }
    }
  });

  it("encodes the records of an append into one space, the largest there are and none beyond it", () => {
    const commands = [0, 1, 300, 20_000].map((length) => new Uint8Array(length).fill(length));
    const far = 2 ** 53 - 1;
    const space = new RecordSpace(
      commands.length,
      commands.reduce((sum, command) => sum + command.length, 0),
    );
    const records = commands.map((command) => encodeLogRecord(far, 2 ** 32 - 1, far, far, command, space));
    assert.equal(new Set(records.map((record) => record.buffer)).size, 1);
    assert.deepEqual(
      records.map((record) => Buffer.from(decodeLogRecord(record).command)),
      commands.map((command) => Buffer.from(command)),
    );
    assert.throws(() => encodeLogRecord(far, 1, far, far, new Uint8Array(200), space), /fit its space/);
  });

  it("tells a command's kind from its first bytes", () => {
    const kind = (command: v1.ICommand): number => commandKind(v1.Command.encode(command).finish());
    assert.equal(kind({ initCluster: {} }), 1);
    assert.equal(kind({ storeKey: { key: "k" } }), 61);
    assert.equal(kind({ batch: { commands: [] } }), 100);
    assert.equal(commandKind(new Uint8Array(0)), 0);
  });

  it("tells commands that need room from those that go on when a disk is nearly full", () => {
    const grows = (command: v1.ICommand): boolean => growsState(v1.Command.encode(command).finish());
    const growth: v1.ICommand[] = [
      { batch: { commands: [{ closeHandle: {} }, { storeKey: {} }] } },
      { openSession: {} },
      { openHandle: {} },
      { lock: { elements: [{ length: 1 }] } },
      { lock: { elements: [{ length: 1, unlock: true }, { length: 1 }] } },
      { storeKey: {} },
      { claimKey: {} },
    ];
    for (const command of growth) assert.equal(grows(command), true, JSON.stringify(command));
    const always: v1.ICommand[] = [
      { closeHandle: {} },
      { closeSession: {} },
      { lock: { elements: [{ length: 1, unlock: true }] } },
      { connectSession: {} },
      { nodeDown: {} },
      { registerNode: {} },
      { finishEffect: {} },
      { releaseKey: {} },
      { expireSession: {} },
      { takeoverDone: {} },
      { moveSession: {} },
      { batch: { commands: [{ connectSession: {} }, { reconnectHandle: {} }] } },
      { batch: { commands: [{ expireSession: {} }, { expireHandle: {} }] } },
    ];
    for (const command of always) assert.equal(grows(command), false, JSON.stringify(command));
  });
});

describe("forward filter", () => {
  it("admits each number once, in any order, and never again after it was forgotten", () => {
    const filter = new ForwardFilter();
    const random = Prng.fromSeed(3);
    const admitted = new Set<number>();
    for (let i = 0; i < 200_000; i++) {
      const number = Math.max(1, Math.floor(i / 2) + random.below(50));
      const fresh = filter.admit(1, 9, number);
      if (fresh) assert.ok(!admitted.has(number), `${number} twice`);
      if (fresh) admitted.add(number);
    }
    assert.equal(filter.admit(1, 9, 1), false, "far behind: cannot be told from a repeat");
    assert.equal(filter.admit(2, 9, 1), true, "another origin");
    assert.equal(filter.admit(1, 10, 1), true, "another life of the origin");
    filter.reset();
    assert.equal(filter.admit(1, 9, 1), true, "another leadership");
  });
});

describe("cluster time", () => {
  it("moves only at a ready leader and never back", () => {
    const time = new ClusterTime();
    time.applied(100);
    assert.equal(time.now(5_000), 100);
    time.startLeading(5_000);
    assert.equal(time.now(5_250), 350);
    time.applied(400);
    assert.equal(time.now(5_250), 400, "a stamp ahead of the own reckoning wins");
    time.stopLeading();
    assert.equal(time.now(9_000), 400);
    time.applied(300);
    assert.equal(time.now(9_000), 400);
  });
});

describe("apply queue", () => {
  const entries = (from: number, to: number) =>
    Array.from(
      { length: to - from + 1 },
      (_, i) => new Entry(1, from + i, EntryKind.Normal, new Uint8Array(0)),
    );

  it("applies in order within its budget and goes on where it stopped", () => {
    const queue = new ApplyQueue();
    queue.push(entries(1, 100));
    queue.push(entries(101, 150));
    const applied: number[] = [];
    let now = 0;
    const counts: number[] = [];
    while (!queue.isEmpty) {
      assert.equal(queue.size, 150 - applied.length);
      counts.push(
        queue.run(
          (e) => (applied.push(e.index), (now += 1)),
          () => now,
          20,
        ),
      );
    }
    assert.equal(queue.size, 0);
    assert.deepEqual(
      applied,
      Array.from({ length: 150 }, (_, i) => i + 1),
    );
    assert.ok(
      counts.every((count) => count <= 20),
      `slices of ${counts.join(", ")}`,
    );
  });

  it("drops what a snapshot covers, from the middle of a range on, and nothing while paused", () => {
    const queue = new ApplyQueue();
    queue.push(entries(1, 40));
    const applied: number[] = [];
    let now = 0;
    queue.run(
      (e) => (applied.push(e.index), (now += 100)),
      () => now,
      1_600,
    );
    queue.push(entries(41, 60));
    queue.paused = true;
    queue.dropThrough(50);
    assert.equal(
      queue.run(
        (e) => applied.push(e.index),
        () => now,
        1_000,
      ),
      0,
    );
    queue.paused = false;
    queue.run(
      (e) => applied.push(e.index),
      () => now,
      1_000,
    );
    assert.deepEqual(applied, [
      ...Array.from({ length: 16 }, (_, i) => i + 1),
      ...Array.from({ length: 10 }, (_, i) => 51 + i),
    ]);
  });
});

describe("ticker", () => {
  it("keeps its rate over late timers, and after a stall tells of it and lets one phase pass before it ticks", async () => {
    const world = new World();
    const said: string[] = [];
    let blockedMs = 0;
    const clock = { ...world.clock, monotonicMs: () => world.clock.monotonicMs() + blockedMs };
    const ticker = new Ticker(clock, world.scheduler, 20, 60, {
      tick: () => said.push(`tick ${clock.monotonicMs()}`),
      stalled: (late) => {
        said.push(`stalled ${late}`);
        // What waits in the sockets is read in the next phase.
        world.scheduler.soon(() => said.push("heartbeats are read"));
      },
    });
    ticker.start();
    await world.pass(100);
    assert.deepEqual(said, ["tick 20", "tick 40", "tick 60", "tick 80", "tick 100"]);
    said.length = 0;
    blockedMs = 500;
    await world.pass(60);
    assert.deepEqual(said, ["stalled 500", "heartbeats are read", "tick 620", "tick 640", "tick 660"]);
    ticker.stop();
    await world.pass(100);
    assert.equal(said.length, 5);
  });
});
