import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { guid, R, READ, RH, RWH, type TortureClient } from "../client.js";
import type { Case } from "../run-cases.js";
import type { TortureWorld } from "../world.js";
import { lease } from "./persistent-open.js";

const D = v1.Disposition;
const A = v1.CreateAction;

/** Disposition, whether the file stood there before, and what the create did. */
const CREATES: readonly (readonly [keyof typeof D, boolean, v1.CreateAction])[] = [
  ["CREATE", false, A.CREATED],
  ["OPEN", true, A.OPENED],
  ["OPEN_IF", false, A.CREATED],
  ["OPEN_IF", true, A.OPENED],
  ["OVERWRITE", true, A.OVERWRITTEN],
  ["OVERWRITE_IF", false, A.CREATED],
  ["OVERWRITE_IF", true, A.OVERWRITTEN],
  ["SUPERSEDE", false, A.CREATED],
  ["SUPERSEDE", true, A.SUPERSEDED],
];

/** Puts a file into the share by a client that then lets it go. */
async function put(client: TortureClient, path: string, text: string): Promise<void> {
  const held = await client.hold(path, { createGuid: guid(`put ${path} ${text}`) });
  await client.write(held, text);
  await client.close(held);
}

function creates(): Case[] {
  const cases: Case[] = [];
  for (const [disposition, exists, action] of CREATES) {
    for (const deleteOnClose of [false, true]) {
      for (const byId of [false, true]) {
        const name = `create again, ${disposition}${exists ? " of a file" : ""}${deleteOnClose ? ", delete on close" : ""}, by ${byId ? "request id" : "guid"}`;
        cases.push({
          name,
          run: async (world, lose) => {
            const a = await world.holder(name);
            const b = await world.other(`${name} b`);
            if (exists) await put(b, name, "before");
            const open = a.openRequest(name, { disposition: D[disposition], deleteOnClose });
            const request = byId ? { request: a.requestId() } : {};
            const first = (await a.must({ open }, request)).open;
            assert.equal(first?.createAction, action);
            const his = await b.hold(name, { disposition: D.OPEN });
            await b.write(his, "later than the create");
            await b.close(his);
            await lose();
            await a.back();
            const reply = (await a.must({ open }, { ...request, replay: true })).open;
            assert(reply);
            assert.deepEqual(reply.handle?.persistent, first?.handle?.persistent);
            assert.equal(reply.createAction, action, "the first answer again");
            assert.equal(world.content(name), "later than the create", "nothing is done twice");
            await a.close({ asked: open, reply });
            assert.equal(world.content(name), deleteOnClose ? null : "later than the create");
          },
        });
      }
    }
  }
  return cases;
}

interface Repeated {
  readonly name: string;
  /** What is sent twice. */
  readonly body: (path: string, handle: v1.IHandleId | null) => v1.IFileRequest;
  /** What happens between the original and its repeat, so that a second execution would show. */
  readonly between: (b: TortureClient, path: string) => Promise<void>;
  readonly check: (world: TortureWorld, path: string) => void;
}

/** Calls with an effect outside the state: a repeat under the same id gets the first answer and does nothing. */
const REPEATED: readonly Repeated[] = [
  {
    name: "append",
    body: (_path, handle) => ({ write: { handle, append: true, data: new TextEncoder().encode("+1") } }),
    between: async () => undefined,
    check: (world, path) => assert.equal(world.content(path), "start+1"),
  },
  {
    name: "rename",
    body: (path, handle) => ({ rename: { handle, targetPath: `${path} moved`, replace: true } }),
    between: (b, path) => put(b, path, "another under the old name"),
    check: (world, path) => {
      assert.equal(world.content(path), "another under the old name");
      assert.equal(world.content(`${path} moved`), "start");
    },
  },
  {
    name: "link",
    body: (path, handle) => ({ link: { handle, targetPath: `${path} link` } }),
    between: (b, path) => b.must({ remove: { share: "ca", path: `${path} link` } }).then(() => undefined),
    check: (world, path) => assert.equal(world.content(`${path} link`), null, "not linked again"),
  },
  {
    name: "truncate",
    body: (_path, handle) => ({ setInfo: { handle, endOfFile: 2 } }),
    between: async (b, path) => {
      const his = await b.hold(path, { createGuid: guid(`longer ${path}`) });
      await b.write(his, "longer");
      await b.close(his);
    },
    check: (world, path) => assert.equal(world.content(path), "longer", "not cut again"),
  },
  {
    name: "remove",
    body: (path) => ({ remove: { share: "ca", path: `${path} victim` } }),
    between: (b, path) => put(b, `${path} victim`, "new"),
    check: (world, path) => assert.equal(world.content(`${path} victim`), "new", "not removed again"),
  },
  {
    name: "make directory",
    body: (path) => ({ makeDirectory: { share: "ca", path: `${path} dir` } }),
    between: (b, path) =>
      b.must({ remove: { share: "ca", path: `${path} dir`, directory: true } }).then(() => undefined),
    check: (world, path) => assert.equal(world.content(`${path} dir`), null, "not made again"),
  },
];

function repeats(): Case[] {
  return REPEATED.map(
    ({ name, body, between, check }): Case => ({
      name: `reply cache: ${name} sent again`,
      run: async (world, lose) => {
        const path = `repeat ${name}`;
        const a = await world.holder(path);
        const b = await world.other(`${path} b`);
        if (name === "remove") await put(b, `${path} victim`, "old");
        const held = await a.hold(path);
        await a.write(held, "start");
        const request = a.requestId();
        const first = await a.must(body(path, held.reply.handle ?? null), { request });
        await between(b, path);
        await lose();
        await a.back();
        await a.resume(held);
        const again = await a.must(body(path, held.reply.handle ?? null), { request, replay: true });
        assert.deepEqual(again.write ?? null, first.write ?? null);
        check(world, path);
        const other = body(`${path} x`, held.reply.handle ?? null);
        if (name === "remove" || name === "make directory")
          await a.refused(ErrorCode.REQUEST_MISMATCH, other, { request, replay: true });
      },
    }),
  );
}

const PENDING: readonly Case[] = (["1n", "1l"] as const).map(
  (variant): Case => ({
    name: `dhv2-pending${variant}-vs-lease-sane`,
    run: async (world, lose) => {
      const path = `pending${variant}`;
      const b = await world.holder(`${path} b`);
      const a = await world.other(path);
      await a.hold(path, lease(path, RWH));
      const open = b.openRequest(path, variant === "1l" ? lease(`${path} b`, RWH) : {});
      let early: v1.IFileResponse | null = null;
      void b.ask({ open }).then((response) => {
        early = response;
      });
      await world.until("the holder is told", () => a.breaks.length === 1);
      assert.equal(early, null, "it waits");
      await lose();
      await b.back();
      await b.refused(ErrorCode.FILE_NOT_AVAILABLE, { open }, { replay: true });
      await a.must({ ackLease: { key: guid(path), state: RH } });
      const reply = (await b.must({ open }, { replay: true })).open;
      assert.equal(reply?.replayed, true);
      if (variant === "1l") assert.equal(reply?.lease?.state, RH);
      assert.equal(a.breaks.length, 1, "one break for one open");
    },
  }),
);

/** An open that waits is state: its client finds it at the next owner, and can take it back there. */
const PENDING_CANCELLED: Case = {
  name: "pending open, cancelled at the owner after the one that it was sent to",
  run: async (world, lose) => {
    const path = "pending cancelled";
    const b = await world.holder(`${path} b`);
    const a = await world.other(path);
    await a.hold(path, lease(path, RWH));
    const open = b.openRequest(path);
    const request = b.requestId();
    void b.ask({ open }, { request });
    await world.until("the holder is told", () => a.breaks.length === 1);
    await lose();
    await b.back();
    const waits = () => [...world.state.pending()].filter((pending) => pending.path === path).length;
    assert.equal(waits(), 1, "it has outlived the failover");
    const again = b.ask({ open }, { request, replay: true, id: 77 });
    await world.pass(100);
    await b.must({ cancel: { callId: 77 } });
    assert.equal(ErrorCode[(await again).error?.code ?? 0], "CANCELLED");
    assert.equal(waits(), 0);
    await a.must({ ackLease: { key: guid(path), state: RH } });
    assert.equal(world.state.handle(open.createGuid ?? new Uint8Array()), undefined);
    await b.hold(path);
    assert.equal(a.breaks.length, 1, "nobody waits any more");
  },
};

const VIOLATION: readonly Case[] = (["close", "ack"] as const).map(
  (how): Case => ({
    name: `dhv2-pending1n-vs-violation-lease-${how}-sane`,
    run: async (world, lose) => {
      const path = `violation ${how}`;
      const b = await world.holder(`${path} b`);
      const a = await world.other(path);
      const held = await a.hold(path, { ...lease(path, RH), shareMode: {} });
      const open = b.openRequest(path);
      void b.ask({ open });
      await world.until("the holder is told", () => a.breaks.length === 1);
      await lose();
      await b.back();
      await b.refused(ErrorCode.FILE_NOT_AVAILABLE, { open }, { replay: true });
      if (how === "close") await a.close(held);
      else await a.must({ ackLease: { key: guid(path), state: R } });
      const after = await b.ask({ open }, { replay: true });
      if (how === "close") assert.equal(after.open?.replayed, true);
      else assert.equal(ErrorCode[after.error?.code ?? 0], "SHARING_VIOLATION");
    },
  }),
);

export const replayCases: readonly Case[] = [
  ...creates(),
  ...repeats(),
  ...PENDING,
  PENDING_CANCELLED,
  ...VIOLATION,
  {
    name: "append under way, beside a plain write behind it at another node",
    run: async (world, lose) => {
      const path = "append beside";
      const a = await world.holder(path);
      const b = await world.other(`${path} b`);
      const held = await a.hold(path);
      await a.write(held, "start");
      const his = await b.hold(path);
      const request = a.requestId();
      const bytes = (text: string) => new TextEncoder().encode(text);
      const append = (): v1.IFileRequest => ({
        write: { handle: held.reply.handle ?? null, append: true, data: bytes("+more") },
      });
      void a.ask(append(), { request });
      const write = b.must({ write: { handle: his.reply.handle ?? null, offset: 20, data: bytes("BOB") } });
      await lose();
      await a.back();
      await a.resume(held);
      let again = await a.ask(append(), { request, replay: true });
      for (let tries = 0; again.error && tries < 20; tries++) {
        assert.equal(ErrorCode[again.error.code ?? 0], "NOT_READY", again.error.message ?? "");
        again = await a.ask(append(), { request, replay: true });
      }
      await write;
      const appendFirst = `${"start+more".padEnd(20, "\0")}BOB`;
      const writeFirst = `${"start".padEnd(20, "\0")}BOB+more`;
      const expected = Number(again.write?.offset) === 5 ? appendFirst : writeFirst;
      assert.equal(world.content(path), expected, "both once, where they were said to be");
    },
  },
  {
    name: "replay-regular",
    run: async (world, lose) => {
      const a = await world.holder("replay-regular");
      const open = a.openRequest("replay-regular", {
        kind: v1.HandleKind.PLAIN,
        createGuid: null,
        disposition: D.CREATE,
      });
      await a.must({ open });
      await lose();
      await a.back();
      await a.refused(ErrorCode.OBJECT_NAME_COLLISION, { open }, { replay: true });
      const opened = { open: { ...open, disposition: D.OPEN } };
      assert.equal((await a.must(opened, { replay: true })).open?.replayed ?? false, false);
    },
  },
  {
    name: "replay-dhv2-oplock2, 3: access and share mode of a replay are not applied",
    run: async (world, lose) => {
      const a = await world.holder("dhv2-oplock");
      const b = await world.other("dhv2-oplock b");
      const open = a.openRequest("dhv2-oplock", { shareMode: { read: true } });
      const first = (await a.must({ open })).open;
      await lose();
      await a.back();
      const replay = { open: { ...open, shareMode: { read: true, write: true }, desiredAccess: READ } };
      const again = (await a.must(replay, { replay: true })).open;
      assert.deepEqual(again?.handle?.persistent, first?.handle?.persistent);
      assert.equal(again?.grantedAccess, first?.grantedAccess);
      await b.refused(ErrorCode.SHARING_VIOLATION, { open: b.openRequest("dhv2-oplock") });
    },
  },
  {
    name: "replay-dhv2-lease1, 2, 3, lease-oplock, oplock-lease",
    run: async (world, lose) => {
      const a = await world.holder("dhv2-lease");
      const open = a.openRequest("dhv2-lease", lease("dhv2-lease", RH));
      await a.must({ open });
      const second = { createGuid: guid("dhv2-lease 2"), ...lease("dhv2-lease", RWH) };
      await a.must({ open: a.openRequest("dhv2-lease", second) });
      const bare = a.openRequest("dhv2-bare");
      await a.must({ open: bare });
      await lose();
      await a.back();
      const other = { ...open, ...lease("another", RWH) };
      await a.refused(ErrorCode.ACCESS_DENIED, { open: other }, { replay: true });
      const leased = { ...bare, ...lease("dhv2-bare", R) };
      await a.refused(ErrorCode.ACCESS_DENIED, { open: leased }, { replay: true });
      const less = { ...open, ...lease("dhv2-lease", R) };
      assert.equal((await a.must({ open: less }, { replay: true })).open?.lease?.state, RWH);
      const none = { ...open, lease: null };
      assert.equal((await a.must({ open: none }, { replay: true })).open?.lease?.state, RWH);
    },
  },
  ...(["ca", "demo"] as const).map(
    (share): Case => ({
      name: `replay5, ${share === "ca" ? "failover share" : "scale-out share"}`,
      run: async (world, lose) => {
        const a = await world.holder(`replay5 ${share}`);
        const open = a.openRequest("replay5", { share });
        const first = (await a.must({ open })).open;
        await lose();
        await a.back();
        const code = share === "ca" ? ErrorCode.DUPLICATE_OBJECTID : ErrorCode.FILE_NOT_AVAILABLE;
        await a.refused(code, { open });
        const again = (await a.must({ open }, { replay: true })).open;
        assert.deepEqual(again?.handle?.persistent, first?.handle?.persistent);
        assert.equal(again?.kind, v1.HandleKind.PERSISTENT);
      },
    }),
  ),
  {
    name: "replay6: another disposition is tolerated with the flag, nothing without it",
    run: async (world, lose) => {
      const a = await world.holder("replay6");
      const open = a.openRequest("replay6");
      const first = (await a.must({ open })).open;
      await lose();
      await a.back();
      await a.refused(ErrorCode.DUPLICATE_OBJECTID, { open });
      const changed = { ...open, disposition: D.OVERWRITE_IF, fileAttributes: 1 };
      const again = (await a.must({ open: changed }, { replay: true })).open;
      assert.deepEqual(again?.handle?.persistent, first?.handle?.persistent);
    },
  },
  {
    name: "durable-reconnect-replay2: from a second live session",
    run: async (world, lose) => {
      const a = await world.holder("replay2");
      const second = await world.other("replay2 b", { clientGuid: a.clientGuid });
      const open = a.openRequest("replay2");
      await a.must({ open });
      await lose();
      await a.back();
      const reply = (await a.must({ open }, { replay: true })).open ?? {};
      await second.refused(ErrorCode.DUPLICATE_OBJECTID, { open }, { replay: true });
      await a.write({ asked: open, reply }, "still fine");
    },
  },
  {
    name: "durable-reconnect-replay3: with the previous session named",
    run: async (world, lose) => {
      const a = await world.holder("replay3");
      const open = a.openRequest("replay3", { disposition: D.CREATE });
      const first = (await a.must({ open })).open;
      await lose();
      const choices = { clientGuid: a.clientGuid, previousSessionId: a.sessionId };
      const next = await world.other("replay3 next", choices);
      const again = (await next.must({ open }, { replay: true })).open;
      assert.deepEqual(again?.handle?.persistent, first?.handle?.persistent);
      assert.equal(again?.createAction, A.CREATED);
      await next.write({ asked: open, reply: again ?? {} }, "usable");
      assert.equal(world.state.session(a.sessionId)?.replacedBy ?? next.sessionId, next.sessionId);
    },
  },
  {
    name: "a closed handle: its replay is neither answered nor executed",
    run: async (world, lose) => {
      const a = await world.holder("closed");
      const open = a.openRequest("closed", { disposition: D.CREATE });
      const reply = (await a.must({ open })).open ?? {};
      const request = a.requestId();
      const close = { close: { handle: reply.handle ?? null } };
      const first = await a.must(close, { request });
      await lose();
      await a.back();
      await a.refused(ErrorCode.FILE_CLOSED, { open }, { replay: true });
      assert.deepEqual((await a.must(close, { request, replay: true })).close, first.close);
    },
  },
  {
    name: "channel-sequence, replay4: WriteWithInvalidChannelSequence",
    run: async (world, lose) => {
      const a = await world.holder("channel-sequence");
      const held = await a.hold("channel-sequence");
      await a.write(held, "0");
      const before = a.channelSequence;
      await lose();
      await a.back();
      await a.resume(held);
      const base = a.channelSequence;
      assert(base > before);
      await a.write(held, "1");
      const steps: readonly (readonly [ahead: number, ok: boolean])[] = [
        [0, true],
        [-1, false],
        [0x8000, false],
        [0xffff, false],
        [0x7fff, true],
        [0x7ffe, false],
        [0, false],
        [0x8000, true],
        [0xffff, true],
        [0, true],
      ];
      for (const [ahead, ok] of steps) {
        const channelSequence = (base + ahead) & 0xffff;
        for (const replay of [false, true]) {
          const calls = [
            a.writeRequest(held, replay ? "other data" : "x"),
            { setInfo: { handle: held.reply.handle ?? null, endOfFile: 1 } },
          ];
          for (const call of calls) {
            const { error } = await a.ask(call, { channelSequence, replay });
            const wanted = ok ? 0 : ErrorCode.FILE_NOT_AVAILABLE;
            assert.equal(ErrorCode[error?.code ?? 0], ErrorCode[wanted], `${ahead} ${replay}`);
          }
        }
        const read = { read: { handle: held.reply.handle ?? null, offset: 0, length: 1 } };
        await a.must(read, { channelSequence });
      }
    },
  },
];
