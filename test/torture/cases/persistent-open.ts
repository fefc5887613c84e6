import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { ATTRIBUTES, guid, R, READ, RH, RW, RWH, type TortureClient, WRITE } from "../client.js";
import type { Case } from "../run-cases.js";
import type { TortureWorld } from "../world.js";

const D = v1.Disposition;
const LEVELS = [0, R, RH, RW, RWH] as const;

/** A lease request under a key that stands for a text. */
export function lease(key: string, state: number): { lease: v1.ILeaseRequest } {
  return { lease: { key: guid(key), state, version: 2 } };
}

export const persistentOpenCases: readonly Case[] = [
  ...LEVELS.map(
    (level): Case => ({
      name: `leaselevels_fo, ${level}`,
      run: async (world, lose) => {
        const path = `leaselevels-${level}`;
        const a = await world.holder(path);
        const held = await a.hold(path, level === 0 ? {} : lease(path, level));
        assert.equal(held.reply.kind, v1.HandleKind.PERSISTENT);
        assert.equal(held.reply.lease?.state ?? 0, level);
        const { epoch } = held.reply.lease ?? {};
        await a.write(held, "kept");
        await lose();
        await a.back();
        const resumed = await a.resume(held);
        assert.equal(resumed.lease?.state ?? 0, level, "a failover breaks nothing");
        assert.equal(resumed.lease?.epoch, epoch);
        assert.equal(await a.read(held), "kept");
      },
    }),
  ),
  {
    name: "failover-reconnect: through the client library, with lock and data",
    run: async (world, lose) => {
      const session = await world.library("failover-reconnect");
      const handle = await session.open("ca:/failover-reconnect", { disposition: "create" });
      await handle.write(0, new TextEncoder().encode("before"));
      await handle.lock({ offset: 0, length: 6 });
      const other = await world.other("failover-reconnect-other");
      const his = await other.hold("failover-reconnect");
      await lose();
      await handle.write(6, new TextEncoder().encode(" after"));
      assert.equal(new TextDecoder().decode(await handle.read(0, 100)), "before after");
      await other.refused(ErrorCode.FILE_LOCK_CONFLICT, other.writeRequest(his, "x"));
      await handle.unlock({ offset: 0, length: 6 });
      // The other node hears of it with its next entry; until then it refuses.
      let freed: v1.IFileResponse = { error: {} };
      const end = world.nowMs + 2_000;
      while (freed.error && world.nowMs < end) {
        freed = await other.ask(other.writeRequest(his, "B"));
        await world.pass(10);
      }
      assert.equal(new TextDecoder().decode(await handle.read(0, 100)), "Before after");
      await handle.close();
    },
  },
  {
    name: "timeout_5",
    run: async (world, lose) => {
      const a = await world.holder("timeout_5");
      const b = await world.other("timeout_5-b");
      const held = await a.hold("timeout_5", { timeoutMs: 5_000 });
      assert.equal(held.reply.timeoutMs, 5_000);
      await lose();
      const open = { open: b.openRequest("timeout_5") };
      await b.refused(ErrorCode.FILE_NOT_AVAILABLE, open);
      let answer: v1.IFileResponse = {};
      const from = world.nowMs;
      while (!answer.open && world.nowMs < from + 10_000) {
        await world.pass(100);
        answer = await b.ask(open);
        if (answer.error) assert.equal(answer.error.code, ErrorCode.FILE_NOT_AVAILABLE);
      }
      assert(answer.open, "the handle is scavenged");
      await a.back();
      await a.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, a.reconnectRequest(held));
    },
  },
  {
    name: "reopen2: only the right names resume a handle, and everything else of an open is ignored",
    run: async (world, lose) => {
      const a = await world.holder("reopen2");
      const held = await a.hold("reopen2", lease("reopen2", RWH));
      await lose();
      await a.back();
      const wrong: Partial<v1.IReconnectRequest>[] = [
        { createGuid: guid("another") },
        { createGuid: new Uint8Array(16) },
        { persistent: false },
        { lease: { key: guid("another"), state: RWH, version: 2 } },
        { lease: { key: guid("reopen2"), state: RWH, version: 1 } },
        { lease: null },
      ];
      for (const more of wrong)
        await a.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, a.reconnectRequest(held, more));
      await a.refused(ErrorCode.INVALID_PARAMETER, a.reconnectRequest(held, { path: "elsewhere" }));
      await a.resume(held);
      await a.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, a.reconnectRequest(held));
      await a.write(held, "x");
    },
  },
  {
    name: "reopen6: another principal with every id",
    run: async (world, lose) => {
      const a = await world.holder("reopen6");
      const held = await a.hold("reopen6");
      const thief = await world.other("reopen6-thief", { principal: "mallory", clientGuid: a.clientGuid });
      await lose();
      await thief.refused(ErrorCode.ACCESS_DENIED, thief.reconnectRequest(held));
      await a.back();
      await a.resume(held);
    },
  },
  {
    name: "rename-dir-open-files",
    run: async (world, lose) => {
      const a = await world.holder("rename-dir");
      const b = await world.other("rename-dir-b");
      await b.must({ makeDirectory: { share: "ca", path: "rename-dir" } });
      const held = await a.hold("rename-dir/file", lease("rename-dir", RH));
      await a.write(held, "kept");
      await lose();
      const dir = await b.hold("rename-dir", { disposition: D.OPEN, wantDirectory: true });
      const rename = { rename: { handle: dir.reply.handle ?? null, targetPath: "rename-dir-2" } };
      await b.refused(ErrorCode.ACCESS_DENIED, rename);
      await a.back();
      await a.resume(held);
      assert.equal(await a.read(held), "kept");
      await a.close(held);
      await b.must(rename);
      assert.equal(world.content("rename-dir-2/file"), "kept");
    },
  },
  {
    name: "replay-reconnect",
    run: async (world, lose) => {
      const a = await world.holder("replay-reconnect");
      const asked = a.openRequest("replay-reconnect", { disposition: D.CREATE });
      const first = (await a.must({ open: asked })).open;
      await lose();
      await a.back();
      const again = (await a.must({ open: asked }, { replay: true })).open;
      assert(again);
      assert.deepEqual(again.handle?.persistent, first?.handle?.persistent);
      assert.equal(again.createAction, v1.CreateAction.CREATED);
      assert.equal(again.replayed, true);
      const held = { asked, reply: again };
      await a.write(held, "usable");
      assert.equal(await a.read(held), "usable");
    },
  },
  {
    name: "replay-multi",
    run: async (world, lose) => {
      const a = await world.holder("replay-multi");
      const asked = a.openRequest("replay-multi", { disposition: D.CREATE });
      await a.must({ open: asked });
      await lose();
      await a.back();
      let reply: v1.IOpenReply = {};
      for (let i = 0; i < 3; i++) {
        reply = (await a.must({ open: asked }, { replay: true })).open ?? {};
        assert.equal(reply.replayed, true);
      }
      await a.write({ asked, reply }, "used");
      await a.refused(ErrorCode.FILE_NOT_AVAILABLE, { open: asked }, { replay: true });
      assert.equal(world.content("replay-multi"), "used");
    },
  },
  ...["create option", "set-info"].map(
    (mark): Case => ({
      name: `deleteonclose-reconnect, ${mark}`,
      run: async (world, lose) => {
        const path = `doc-reconnect-${mark}`;
        const a = await world.holder(path);
        const held = await a.hold(path, { deleteOnClose: mark === "create option" });
        if (mark === "set-info")
          await a.must({ setInfo: { handle: held.reply.handle ?? null, deleteOnClose: true } });
        await a.write(held, "doomed");
        await lose();
        assert.equal(world.content(path), "doomed", "nothing is deleted because a server died");
        await a.back();
        await a.resume(held);
        assert.equal(await a.read(held), "doomed");
        await a.close(held);
        assert.equal(world.content(path), null);
      },
    }),
  ),
  {
    name: "deleteonclose-expire",
    run: async (world, lose) => {
      const a = await world.holder("doc-expire");
      await a.hold("doc-expire", { deleteOnClose: true, timeoutMs: 8_000 });
      await lose();
      assert.equal(world.content("doc-expire"), "");
      await world.until("the file is deleted at expiry", () => world.content("doc-expire") === null, 15_000);
    },
  },
  {
    name: "deleteonclose-twice",
    run: async (world, lose) => {
      const a = await world.holder("doc-twice");
      const mark = { deleteOnClose: true, ...lease("doc-twice", RH) };
      await a.hold("doc-twice", { ...mark, timeoutMs: 8_000, createGuid: guid("doc-twice-1") });
      const longer = await a.hold("doc-twice", {
        ...mark,
        timeoutMs: 60_000,
        createGuid: guid("doc-twice-2"),
      });
      await lose();
      const count = (): number => [...world.state.handlesOfFile("ca", "doc-twice")].length;
      await world.until("one of them is expired", () => count() === 1, 15_000);
      assert.equal(world.content("doc-twice"), "", "somebody still has it open");
      await a.back();
      await a.resume(longer);
      await a.close(longer);
      assert.equal(world.content("doc-twice"), null);
    },
  },
  {
    name: "directory-disconnect",
    run: async (world, lose) => {
      const a = await world.holder("dir-disconnect");
      const b = await world.other("dir-disconnect-b");
      await b.must({ makeDirectory: { share: "ca", path: "dir-disconnect" } });
      const spec = { disposition: D.OPEN, wantDirectory: true, desiredAccess: READ };
      const held = await a.hold("dir-disconnect", { ...spec, shareMode: {} });
      const open = { open: b.openRequest("dir-disconnect", spec) };
      await b.refused(ErrorCode.SHARING_VIOLATION, open);
      await lose();
      await b.refused(ErrorCode.FILE_NOT_AVAILABLE, open);
      await a.back();
      await a.resume(held);
      await b.refused(ErrorCode.SHARING_VIOLATION, open);
    },
  },
  ...contended(),
  {
    name: "reconnect-contended, given up: the break that was kept for a contender goes out without it too",
    run: async (world, lose) => {
      const path = "contended-given-up";
      const [a, b] = [await world.holder(path), await world.other(`${path} b`)];
      const held = await a.hold(path, lease(path, RWH));
      await lose();
      a.notices.length = 0;
      const waiting = b.ask({ open: b.openRequest(path) }, { id: 77 });
      await breakIsKept(world, a, guid(path), RH);
      await b.must({ cancel: { callId: 77 } });
      assert.equal(ErrorCode[(await waiting).error?.code ?? 0], "CANCELLED");
      await a.backFor(held);
      await world.until("the stored break is delivered", () => a.breaks.length > 0, 5_000);
      assert.deepEqual([a.breaks[0]?.current, a.breaks[0]?.breakTo], [RWH, RH]);
      await a.must({ ackLease: { key: guid(path), state: RH } });
      await b.hold(path);
    },
  },
];

/** Waits until the break of a holder that is away is in the state, down to `to`; undefined: there has to be none. */
export async function breakIsKept(
  world: TortureWorld,
  holder: TortureClient,
  key: Uint8Array,
  to: number | undefined,
): Promise<void> {
  const now = () => world.state.lease(holder.clientGuid, key);
  if (to === undefined) {
    assert.equal(now()?.breaking ?? false, false, "no break without a cause");
    return;
  }
  await world.until("the break is stored", () => now()?.stored ?? false, 5_000);
  assert.equal(now()?.breakToRequired ?? 0, to);
}

/** The contender's cells of semantics.md C5 as two clients at two nodes see them. */
function contended(): Case[] {
  interface Cell {
    readonly held: (typeof LEVELS)[number];
    readonly locks: boolean;
    readonly contender: "attribute" | "compatible" | "overwrite" | "conflict";
    readonly answer: "granted" | "FNA" | "waits";
    /** What the holder's lease is to come down to. */
    readonly stored?: number;
    readonly after?: "granted" | "SHARING_VIOLATION";
  }
  const closed = ([0, R, RW] as const).flatMap((held) =>
    [false, true].flatMap((locks): Cell[] => [
      { held, locks, contender: "attribute", answer: "granted" },
      { held, locks, contender: "compatible", answer: "FNA" },
      { held, locks, contender: "overwrite", answer: "FNA" },
      { held, locks, contender: "conflict", answer: "FNA" },
    ]),
  );
  const cells: readonly Cell[] = [
    ...closed,
    { held: RH, locks: false, contender: "attribute", answer: "granted" },
    { held: RH, locks: false, contender: "compatible", answer: "granted" },
    { held: RH, locks: false, contender: "overwrite", answer: "granted", stored: 0 },
    { held: RH, locks: false, contender: "conflict", answer: "waits", stored: R, after: "SHARING_VIOLATION" },
    { held: RH, locks: true, contender: "attribute", answer: "granted" },
    { held: RH, locks: true, contender: "compatible", answer: "FNA" },
    { held: RH, locks: true, contender: "overwrite", answer: "FNA" },
    { held: RH, locks: true, contender: "conflict", answer: "FNA" },
    { held: RWH, locks: false, contender: "attribute", answer: "granted" },
    { held: RWH, locks: false, contender: "compatible", answer: "waits", stored: RH, after: "granted" },
    { held: RWH, locks: false, contender: "overwrite", answer: "waits", stored: 0, after: "granted" },
    {
      held: RWH,
      locks: false,
      contender: "conflict",
      answer: "waits",
      stored: RW,
      after: "SHARING_VIOLATION",
    },
    { held: RWH, locks: true, contender: "attribute", answer: "granted" },
    { held: RWH, locks: true, contender: "compatible", answer: "waits", stored: RH, after: "granted" },
    {
      held: RWH,
      locks: true,
      contender: "conflict",
      answer: "waits",
      stored: RW,
      after: "SHARING_VIOLATION",
    },
  ];
  return cells.map((cell): Case => {
    const name = `reconnect-contended ${cell.held}${cell.locks ? " with locks" : ""}, ${cell.contender}`;
    return {
      name,
      run: async (world, lose) => {
        const a = await world.holder(name);
        const b = await world.other(`${name} b`);
        const held = await a.hold(name, {
          desiredAccess: READ | WRITE,
          ...(cell.held === 0 ? {} : lease(name, cell.held)),
          ...(cell.contender === "conflict" ? { shareMode: { read: true } } : {}),
        });
        if (cell.locks) await a.must(a.lockRequest(held, 0, 10));
        await lose();
        a.notices.length = 0;
        const open: v1.IOpenRequest = {
          ...b.openRequest(name),
          desiredAccess: cell.contender === "attribute" ? ATTRIBUTES : READ | WRITE,
          disposition: cell.contender === "overwrite" ? D.OVERWRITE_IF : D.OPEN,
          ...(cell.contender === "attribute" ? {} : lease(`${name} b`, RWH)),
        };
        let answer: v1.IFileResponse | null = null;
        const waiting = b.ask({ open }, { request: b.requestId() }).then((response) => {
          answer = response;
          return response;
        });
        if (cell.answer === "waits") {
          await world.pass(500);
          assert.equal(answer, null, "it waits for the holder");
        } else {
          const response = await waiting;
          const code = response.error?.code ?? 0;
          assert.equal(ErrorCode[code], ErrorCode[cell.answer === "FNA" ? ErrorCode.FILE_NOT_AVAILABLE : 0]);
        }
        // Kept in the state, not remade when the holder is back: the contender may have gone by then.
        await breakIsKept(world, a, guid(name), cell.stored);
        await a.back();
        const resumed = await a.resume(held);
        assert.equal(resumed.lease?.state ?? 0, cell.held, "it keeps what it had until it is told");
        const underWay = resumed.lease?.breakInProgress ?? false;
        assert.equal(underWay, cell.stored !== undefined, "the answer to a resume says what is to follow");
        if (cell.stored === undefined) {
          await a.must({ ping: {} });
          assert.equal(a.breaks.length, 0, "no break without a cause");
          return;
        }
        await world.until("the stored break is delivered", () => a.breaks.length > 0, 5_000);
        assert.deepEqual(
          a.breaks.map(({ current, breakTo }) => [current, breakTo ?? 0]),
          [[cell.held, cell.stored]],
        );
        await a.must({ ackLease: { key: guid(name), state: cell.stored } });
        const final = await waiting;
        if (cell.after === "SHARING_VIOLATION")
          assert.equal(ErrorCode[final.error?.code ?? 0], "SHARING_VIOLATION");
        else assert.equal(final.error ?? null, null, final.error?.message ?? "");
      },
    };
  });
}
