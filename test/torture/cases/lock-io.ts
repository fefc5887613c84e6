import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { fromBigInt, U64_MAX } from "../../../src/wire/index.js";
import { type Held, READ, type TortureClient } from "../client.js";
import type { Case } from "../run-cases.js";

/** Reads and writes that meet a lock (semantics.md F2): what its own open may do, and any other. */
interface Kind {
  readonly name: string;
  readonly exclusive: boolean | null;
  readonly own: { readonly read: boolean; readonly write: boolean };
  readonly other: { readonly read: boolean; readonly write: boolean };
}

const KINDS: readonly Kind[] = [
  { name: "rw-none", exclusive: null, own: { read: true, write: true }, other: { read: true, write: true } },
  {
    name: "rw-shared",
    exclusive: false,
    own: { read: true, write: false },
    other: { read: true, write: false },
  },
  {
    name: "rw-exclusive",
    exclusive: true,
    own: { read: true, write: true },
    other: { read: false, write: false },
  },
];

/** Asserts whether reads and writes get through, inside the range [10, 20) and beside it. */
async function checkIo(
  client: TortureClient,
  held: Held,
  may: { read: boolean; write: boolean },
): Promise<void> {
  const handle = held.reply.handle ?? null;
  const ask = async (body: v1.IFileRequest, allowed: boolean, what: string): Promise<void> => {
    const code = (await client.ask(body)).error?.code ?? 0;
    assert.equal(ErrorCode[code], allowed ? ErrorCode[0] : "FILE_LOCK_CONFLICT", `${client.name}: ${what}`);
  };
  await ask({ read: { handle, offset: 19, length: 1 } }, may.read, "read inside");
  await ask(client.writeRequest(held, "w", 10), may.write, "write inside");
  await ask({ read: { handle, offset: 20, length: 5 } }, true, "read behind");
  await ask(client.writeRequest(held, "w", 9), true, "write before");
}

function element(offset: number, more: Partial<v1.ILockElement> = {}): v1.ILockElement {
  return { offset, length: 1, exclusive: true, failImmediately: true, ...more };
}

function locking(held: Held, elements: v1.ILockElement[]): v1.IFileRequest {
  return { lock: { handle: held.reply.handle ?? null, elements } };
}

export const lockIoCases: readonly Case[] = [
  ...KINDS.map(
    (kind): Case => ({
      name: `${kind.name}, zerobyteread: reads and writes that meet the lock of a holder that is away, and is back`,
      run: async (world, lose) => {
        const a = await world.holder(kind.name);
        const b = await world.other(`${kind.name} b`);
        const held = await a.hold(kind.name);
        const his = await b.hold(kind.name);
        await a.write(held, "0123456789012345678901234567890");
        if (kind.exclusive !== null) await a.must(a.lockRequest(held, 10, 10, { exclusive: kind.exclusive }));
        await lose();
        await checkIo(b, his, kind.other);
        await a.backFor(held);
        await checkIo(a, held, kind.own);
        await checkIo(b, his, kind.other);
        // Nothing is read, at the edge and where the file ends.
        for (const offset of [10, 31])
          await b.must({ read: { handle: his.reply.handle ?? null, offset, length: 0 } });
      },
    }),
  ),
  {
    name: "valid-request: arrays, mixtures, empty ones and a directory, of a resumed handle",
    run: async (world, lose) => {
      const a = await world.holder("valid-request");
      const b = await world.other("valid-request b");
      await b.must({ makeDirectory: { share: "ca", path: "valid-request-dir" } });
      const held = await a.hold("valid-request");
      const spec = { wantDirectory: true, desiredAccess: READ, disposition: v1.Disposition.OPEN };
      const directory = await a.hold("valid-request-dir", spec);
      await lose();
      await a.backWithHandles();
      const invalid = ErrorCode.INVALID_PARAMETER;
      // Nothing to do is no request of this interface; the state's own word for it is INVALID_PARAMETER.
      await a.refused(ErrorCode.INVALID_ARGUMENT, locking(held, []));
      await a.refused(invalid, locking(held, [element(0), element(5, { failImmediately: false })]));
      await a.refused(invalid, locking(held, [element(0), element(5, { unlock: true })]));
      await a.refused(invalid, locking(directory, [element(0)]));
      const last = { ...element(0), offset: fromBigInt(U64_MAX), length: 2 };
      await a.refused(ErrorCode.INVALID_LOCK_RANGE, locking(held, [last]));
      const granted = await a.must(locking(held, [element(0), element(5)]));
      assert.equal(granted.lock?.held?.length, 2, "none of the refused left anything");
    },
  },
  {
    name: "stacking: shared locks stack over the failover and need as many unlocks",
    run: async (world, lose) => {
      const a = await world.holder("stacking");
      const b = await world.other("stacking b");
      const held = await a.hold("stacking");
      const his = await b.hold("stacking");
      for (let i = 0; i < 2; i++) await a.must(a.lockRequest(held, 0, 10, { exclusive: false }));
      await lose();
      assert.equal((await a.backFor(held))?.locks?.length, 2);
      await a.must(a.lockRequest(held, 0, 10, { unlock: true }));
      await b.refused(ErrorCode.LOCK_NOT_GRANTED, b.lockRequest(his, 0, 10));
      await a.must(a.lockRequest(held, 0, 10, { unlock: true }));
      await b.must(b.lockRequest(his, 0, 10));
      await a.refused(ErrorCode.RANGE_NOT_LOCKED, a.lockRequest(held, 0, 10, { unlock: true }));
    },
  },
  {
    name: "multiple-unlock, lock: an array of unlocks is not taken back, one of locks is",
    run: async (world, lose) => {
      const a = await world.holder("multiple-unlock");
      const b = await world.other("multiple-unlock b");
      const held = await a.hold("multiple-unlock");
      const his = await b.hold("multiple-unlock");
      await a.must(locking(held, [element(0), element(1)]));
      await b.must(locking(his, [element(50)]));
      await lose();
      await a.backFor(held);
      await a.refused(ErrorCode.LOCK_NOT_GRANTED, locking(held, [element(40), element(50)]));
      await b.must(locking(his, [element(40)]));
      const unlocks = [
        element(0, { unlock: true }),
        element(7, { unlock: true }),
        element(1, { unlock: true }),
      ];
      await a.refused(ErrorCode.RANGE_NOT_LOCKED, locking(held, unlocks));
      await b.must(locking(his, [element(0)]));
      await b.refused(ErrorCode.LOCK_NOT_GRANTED, locking(his, [element(1)]));
    },
  },
  {
    name: "overlap, errorcode: neighbours get in while the holder is away, whoever meets its range does not",
    run: async (world, lose) => {
      const a = await world.holder("overlap");
      const b = await world.other("overlap b");
      const held = await a.hold("overlap");
      const his = await b.hold("overlap");
      await a.must(a.lockRequest(held, 10, 10));
      await lose();
      await b.must(b.lockRequest(his, 0, 10));
      await b.must(b.lockRequest(his, 20, 10));
      for (const [offset, length] of [
        [19, 1],
        [9, 2],
        [0, 100],
        [12, 1],
      ] as const)
        for (const exclusive of [true, false])
          await b.refused(ErrorCode.LOCK_NOT_GRANTED, b.lockRequest(his, offset, length, { exclusive }));
      await a.backFor(held);
      await a.refused(ErrorCode.LOCK_NOT_GRANTED, a.lockRequest(held, 20, 1));
    },
  },
  {
    name: "truncate: locks do not keep others from cutting or overwriting the file, and stay",
    run: async (world, lose) => {
      const a = await world.holder("truncate lock");
      const b = await world.other("truncate lock b");
      const held = await a.hold("truncate lock");
      const his = await b.hold("truncate lock");
      await a.write(held, "0123456789");
      await a.must(a.lockRequest(held, 0, 10));
      await lose();
      await a.backFor(held);
      await b.must({ setInfo: { handle: his.reply.handle ?? null, endOfFile: 5 } });
      assert.equal(await a.read(held), "01234");
      await b.must({
        open: b.openRequest("truncate lock", { createGuid: null, disposition: v1.Disposition.OVERWRITE }),
      });
      assert.equal(await a.read(held), "");
      await b.refused(ErrorCode.LOCK_NOT_GRANTED, b.lockRequest(his, 5, 1));
    },
  },
  {
    name: "cancel-logoff: a session that is closed takes its waiting lock along",
    run: async (world, lose) => {
      const b = await world.holder("cancel-logoff b");
      const a = await world.other("cancel-logoff");
      const first = await a.hold("cancel-logoff");
      await a.must(a.lockRequest(first, 0, 10));
      const held = await b.hold("cancel-logoff");
      const request = b.requestId(3);
      void b.ask(b.lockRequest(held, 0, 10, { wait: true }), { request });
      const waits = (): boolean =>
        [...world.state.pending()].some(({ sessionId }) => sessionId === b.sessionId);
      await world.until("it waits", waits);
      await lose();
      await b.backFor(held);
      b.held.splice(0);
      const again = b.ask(b.lockRequest(held, 0, 10, { wait: true }), { request, replay: true });
      await world.pass(100);
      await b.must({ closeSession: {} });
      assert((await again).error, "it is not granted");
      assert(!waits());
      await a.must(a.lockRequest(first, 0, 10, { unlock: true }));
      await a.must(a.lockRequest(first, 0, 10));
    },
  },
  {
    name: "context: another session cannot lock, unlock or use a handle whose ids it knows",
    run: async (world, lose) => {
      const a = await world.holder("context");
      const b = await world.other("context b");
      const held = await a.hold("context");
      await a.must(a.lockRequest(held, 0, 10));
      await lose();
      for (const away of [true, false]) {
        await b.refused(ErrorCode.FILE_CLOSED, b.lockRequest(held, 20, 1));
        await b.refused(ErrorCode.FILE_CLOSED, b.lockRequest(held, 0, 10, { unlock: true }));
        await b.refused(ErrorCode.FILE_CLOSED, b.writeRequest(held, "x", 30));
        if (away) assert.equal((await a.backFor(held))?.locks?.length, 1);
      }
    },
  },
];
