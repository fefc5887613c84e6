import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { fromBigInt } from "../../../src/wire/index.js";
import { RH, RWH } from "../client.js";
import type { Case } from "../run-cases.js";
import { lease } from "./persistent-open.js";

/** A lock that waits. */
const WAIT = { wait: true };

export const lockCases: readonly Case[] = [
  ...([0, RH, RWH] as const).map(
    (level): Case => ({
      name: `lock-lease, ${level}: a lock survives, and holds for others meanwhile`,
      run: async (world, lose) => {
        const path = `lock-lease-${level}`;
        const a = await world.holder(path);
        const b = await world.other(`${path} b`);
        // The other has it open first, so that his open breaks no lease.
        const his = level === RWH ? null : await b.hold(path);
        const held = await a.hold(path, level === 0 ? {} : lease(path, level));
        await a.must(a.lockRequest(held, 0, 10));
        await lose();
        if (his !== null) await b.refused(ErrorCode.FILE_LOCK_CONFLICT, b.writeRequest(his, "x", 5));
        if (his !== null) await b.refused(ErrorCode.LOCK_NOT_GRANTED, b.lockRequest(his, 9, 1));
        await a.back();
        const reply = await a.resume(held);
        assert.deepEqual(
          reply.locks?.map((lock) => [lock.offset ?? 0, lock.length, lock.exclusive]),
          [[0, 10, true]],
        );
        await a.must(a.lockRequest(held, 0, 10, { unlock: true }));
        if (his !== null) await b.must(b.lockRequest(his, 0, 10));
      },
    }),
  ),
  {
    name: "replay_smb3_specification_durable, _multi",
    run: async (world, lose) => {
      const a = await world.holder("lock-replay");
      const held = await a.hold("lock-replay");
      await a.must(a.lockRequest(held, 0, 10, { bucket: [1, 3] }));
      await a.must(a.lockRequest(held, 20, 10, { bucket: [64, 3] }));
      await lose();
      await a.back();
      await a.resume(held);
      const replayed = await a.must(a.lockRequest(held, 0, 10, { bucket: [1, 3] }));
      assert.equal(replayed.lock?.held?.length, 2, "each once");
      await a.must(a.lockRequest(held, 20, 10, { bucket: [64, 3] }));
      await a.refused(ErrorCode.LOCK_NOT_GRANTED, a.lockRequest(held, 0, 10, { bucket: [1, 4] }));
      await a.refused(ErrorCode.LOCK_NOT_GRANTED, a.lockRequest(held, 0, 10, { bucket: [2, 3] }));
    },
  },
  {
    name: "replay of an unlock",
    run: async (world, lose) => {
      const a = await world.holder("unlock-replay");
      const b = await world.other("unlock-replay b");
      const his = await b.hold("unlock-replay");
      const held = await a.hold("unlock-replay");
      await a.must(a.lockRequest(held, 0, 10, { bucket: [1, 1] }));
      const unlock = { unlock: true, bucket: [2, 1] as const };
      await a.must(a.lockRequest(held, 0, 10, unlock));
      await lose();
      await b.must(b.lockRequest(his, 0, 10));
      await a.back();
      await a.resume(held);
      await a.must(a.lockRequest(held, 0, 10, unlock));
      await a.refused(
        ErrorCode.RANGE_NOT_LOCKED,
        a.lockRequest(held, 0, 10, { unlock: true, bucket: [2, 2] }),
      );
      await a.refused(ErrorCode.LOCK_NOT_GRANTED, a.lockRequest(held, 0, 10));
    },
  },
  {
    name: "replay_broken_windows: buckets 0 and above 64 are not checked",
    run: async (world, lose) => {
      const a = await world.holder("bucket-edge");
      const held = await a.hold("bucket-edge");
      for (const index of [0, 65]) await a.must(a.lockRequest(held, index, 1, { bucket: [index, 1] }));
      await lose();
      await a.back();
      await a.resume(held);
      for (const index of [0, 65])
        await a.refused(ErrorCode.LOCK_NOT_GRANTED, a.lockRequest(held, index, 1, { bucket: [index, 1] }));
    },
  },
  {
    name: "range, zerobytelength, contend: the table of a file survives",
    run: async (world, lose) => {
      const a = await world.holder("ranges");
      const b = await world.other("ranges b");
      const his = await b.hold("ranges");
      const held = await a.hold("ranges");
      const last = fromBigInt(2n ** 64n - 1n);
      await a.must(a.lockRequest(held, last, 1));
      await a.must(a.lockRequest(held, 100, 10, { exclusive: false }));
      await a.must(a.lockRequest(held, 200, 0));
      await lose();
      await b.refused(ErrorCode.LOCK_NOT_GRANTED, b.lockRequest(his, last, 1));
      await a.back();
      const { locks } = await a.resume(held);
      assert.equal(locks?.length, 3);
      await b.refused(ErrorCode.LOCK_NOT_GRANTED, b.lockRequest(his, last, 1));
      await b.refused(ErrorCode.LOCK_NOT_GRANTED, b.lockRequest(his, 105, 1));
      await b.must(b.lockRequest(his, 105, 1, { exclusive: false }));
      await b.must(b.lockRequest(his, 200, 0));
    },
  },
  {
    name: "async: a waiting lock survives the failover of its owner",
    run: async (world, lose) => {
      const b = await world.holder("waiting b");
      const a = await world.other("waiting");
      const first = await a.hold("waiting");
      await a.must(a.lockRequest(first, 0, 10));
      const held = await b.hold("waiting");
      const request = b.requestId(3);
      void b.ask(b.lockRequest(held, 0, 10, WAIT), { request });
      await world.until("it waits", () => pendingOf(world.state.pending(), b.sessionId) === 1);
      await lose();
      await b.back();
      await b.resume(held);
      const again = b.ask(b.lockRequest(held, 0, 10, WAIT), { request, replay: true });
      await world.pass(100);
      assert.equal(pendingOf(world.state.pending(), b.sessionId), 1, "once");
      await a.must(a.lockRequest(first, 0, 10, { unlock: true }));
      const granted = await again;
      assert.equal(granted.error ?? null, null, granted.error?.message ?? "");
      assert.equal(granted.lock?.held?.length, 1);
      await a.refused(ErrorCode.LOCK_NOT_GRANTED, a.lockRequest(first, 0, 10));
    },
  },
  {
    name: "fair: whoever waits for a range is not overtaken, over the failover, until it is cancelled",
    run: async (world, lose) => {
      const b = await world.holder("fair b");
      const a = await world.other("fair");
      const c = await world.other("fair c");
      const first = await a.hold("fair");
      const third = await c.hold("fair");
      await a.must(a.lockRequest(first, 0, 10));
      const held = await b.hold("fair");
      const request = b.requestId(3);
      void b.ask(b.lockRequest(held, 5, 10, WAIT), { request });
      await world.until("it waits", () => pendingOf(world.state.pending(), b.sessionId) === 1);
      // Free, but somebody waits for a range of which it is a part.
      await c.refused(ErrorCode.LOCK_NOT_GRANTED, c.lockRequest(third, 12, 1));
      await lose();
      await c.refused(ErrorCode.LOCK_NOT_GRANTED, c.lockRequest(third, 12, 1));
      const behind = c.ask(c.lockRequest(third, 5, 10, WAIT), { request: c.requestId(2) });
      await world.until("two wait", () => pendingOf(world.state.pending(), c.sessionId) === 1);
      // Whom it waits for may go on in the range: else both would wait for ever.
      await a.must(a.lockRequest(first, 13, 1));
      await b.back();
      await b.resume(held);
      const again = b.ask(b.lockRequest(held, 5, 10, WAIT), { request, replay: true, id: 6_000 });
      await a.must(a.lockRequest(first, 13, 1, { unlock: true }));
      await a.must(a.lockRequest(first, 0, 10, { unlock: true }));
      assert.equal((await again).lock?.held?.length, 1, "the first that waited");
      assert.equal(pendingOf(world.state.pending(), c.sessionId), 1, "the second still waits");
      await a.refused(ErrorCode.LOCK_NOT_GRANTED, a.lockRequest(first, 14, 1));
      await b.must(b.lockRequest(held, 5, 10, { unlock: true }));
      assert.equal((await behind).lock?.held?.length, 1);
      // Cancelled, it stands in nobody's way.
      const waits = b.ask(b.lockRequest(held, 0, 10, WAIT), { request: b.requestId(4), id: 6_001 });
      await world.until("it waits again", () => pendingOf(world.state.pending(), b.sessionId) === 1);
      await a.refused(ErrorCode.LOCK_NOT_GRANTED, a.lockRequest(first, 0, 1));
      const next = a.ask(a.lockRequest(first, 0, 1, WAIT), { request: a.requestId(2) });
      await b.must({ cancel: { callId: 6_001 } });
      assert.equal(ErrorCode[(await waits).error?.code ?? 0], "CANCELLED");
      assert.equal((await next).lock?.held?.length, 1);
    },
  },
  {
    name: "cancel: a lock that waits since before the failover",
    run: async (world, lose) => {
      const b = await world.holder("cancel b");
      const a = await world.other("cancel");
      const first = await a.hold("cancel");
      await a.must(a.lockRequest(first, 0, 10));
      const held = await b.hold("cancel");
      const request = b.requestId(3);
      void b.ask(b.lockRequest(held, 0, 10, WAIT), { request });
      await world.until("it waits", () => pendingOf(world.state.pending(), b.sessionId) === 1);
      await lose();
      await b.back();
      await b.resume(held);
      const again = b.ask(b.lockRequest(held, 0, 10, WAIT), { request, replay: true, id: 5_000 });
      await world.pass(100);
      await b.must({ cancel: { callId: 5_000, request } });
      assert.equal(ErrorCode[(await again).error?.code ?? 0], "CANCELLED");
      await a.must(a.lockRequest(first, 0, 10, { unlock: true }));
      await world.pass(100);
      await a.must(a.lockRequest(first, 0, 10));
    },
  },
  {
    name: "auto-unlock: a close after the failover frees the locks",
    run: async (world, lose) => {
      const a = await world.holder("auto-unlock");
      const b = await world.other("auto-unlock b");
      const his = await b.hold("auto-unlock");
      const held = await a.hold("auto-unlock");
      await a.must(a.lockRequest(held, 0, 10));
      await lose();
      const waiting = b.ask(b.lockRequest(his, 0, 10, WAIT), { request: b.requestId() });
      await a.back();
      await a.resume(held);
      await a.close(held);
      assert.equal((await waiting).lock?.held?.length, 1);
    },
  },
  {
    name: "locks go when their handle expires, not before",
    run: async (world, lose) => {
      const a = await world.holder("lock-expire");
      const b = await world.other("lock-expire b");
      const his = await b.hold("lock-expire");
      const held = await a.hold("lock-expire", { timeoutMs: 8_000 });
      await a.must(a.lockRequest(held, 0, 10));
      await lose();
      await b.refused(ErrorCode.LOCK_NOT_GRANTED, b.lockRequest(his, 0, 10));
      const waiting = b.ask(b.lockRequest(his, 0, 10, WAIT), { request: b.requestId() });
      const granted = await waiting;
      assert.equal(granted.lock?.held?.length, 1);
      const expired = world.state.handle(held.reply.handle?.persistent ?? new Uint8Array());
      assert.equal(expired?.state ?? v1.HandleState.HANDLE_CLOSED, v1.HandleState.HANDLE_CLOSED);
    },
  },
];

function pendingOf(pending: Iterable<v1.IPendingRecord>, sessionId: number): number {
  return [...pending].filter((record) => record.sessionId === sessionId).length;
}
