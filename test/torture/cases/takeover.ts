import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { guid, RH, RWH } from "../client.js";
import type { Case } from "../run-cases.js";
import { lease } from "./persistent-open.js";

/** WPTS AppInstanceVersion: against version (1, 5). */
const VERSIONS: readonly (readonly [name: string, version: Partial<v1.IAppInstance>, takesOver: boolean])[] =
  [
    ["greater high", { versionHigh: 2, versionLow: 0, hasVersion: true }, true],
    ["greater low", { versionHigh: 1, versionLow: 6, hasVersion: true }, true],
    ["same", { versionHigh: 1, versionLow: 5, hasVersion: true }, false],
    ["lower high", { versionHigh: 0, versionLow: 9, hasVersion: true }, false],
    ["lower low", { versionHigh: 1, versionLow: 4, hasVersion: true }, false],
    ["no version", {}, false],
  ];

export const takeoverCases: readonly Case[] = [
  {
    name: "release valve: a new open closes its client's own orphans, and nobody else's",
    run: async (world, lose) => {
      const a = await world.holder("valve");
      const b = await world.other("valve b");
      const held = await a.hold("valve", { shareMode: {} });
      a.held.splice(0);
      await a.write(held, "kept");
      await lose();
      const his = { open: b.openRequest("valve", { closeMyOrphans: true }) };
      await b.refused(ErrorCode.FILE_NOT_AVAILABLE, his);
      await a.back();
      const again = { createGuid: guid("valve again"), shareMode: {} };
      await a.refused(ErrorCode.FILE_NOT_AVAILABLE, { open: a.openRequest("valve", again) });
      const next = await a.hold("valve", { ...again, closeMyOrphans: true });
      assert.equal(await a.read(next), "kept");
      await a.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, a.reconnectRequest(held));
      await b.refused(ErrorCode.SHARING_VIOLATION, his);
    },
  },
  ...VERSIONS.map(
    ([name, version, takesOver]): Case => ({
      name: `WPTS AppInstanceVersion, ${name}`,
      run: async (world, lose) => {
        const path = `app-version ${name}`;
        const id = guid(path);
        const a = await world.holder(path);
        const b = await world.other(`${path} b`);
        const appInstance = { id, versionHigh: 1, versionLow: 5, hasVersion: true };
        const held = await a.hold(path, { appInstance, shareMode: {} });
        await a.write(held, "of the first");
        await lose();
        const open = b.openRequest(path, { appInstance: { id, ...version }, shareMode: {} });
        if (takesOver) {
          const reply = (await b.must({ open })).open ?? {};
          assert.equal(await b.read({ asked: open, reply }), "of the first");
          await a.back();
          await a.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, a.reconnectRequest(held));
          return;
        }
        await b.refused(ErrorCode.FILE_FORCED_CLOSED, { open });
        await a.back();
        await a.resume(held);
        assert.equal(await a.read(held), "of the first");
      },
    }),
  ),
  {
    name: "app-instance, WPTS BVT_AppInstanceId: the old open was taken up again on another node",
    run: async (world, lose) => {
      const id = guid("app-instance");
      const a = await world.holder("app-instance");
      const b = await world.other("app-instance b");
      const held = await a.hold("app-instance", { appInstance: { id }, shareMode: {} });
      await lose();
      await a.back();
      await a.resume(held);
      const theirs = await b.hold("app-instance", { appInstance: { id }, shareMode: {} });
      const write = a.writeRequest(held, "late");
      await a.refused(ErrorCode.FILE_CLOSED, write);
      await b.write(theirs, "of the second");
      assert.equal(world.content("app-instance"), "of the second");
    },
  },
  {
    name: "app-instance, the old open is in use at another node: taken over, and it stays so",
    run: async (world, lose) => {
      const id = guid("app-elsewhere");
      const a = await world.holder("app-elsewhere");
      const b = await world.other("app-elsewhere b");
      const ownerOf = ({ sessionId }: { sessionId: number }) => world.state.session(sessionId)?.owner;
      assert.notEqual(ownerOf(a), ownerOf(b));
      const held = await a.hold("app-elsewhere", { appInstance: { id }, shareMode: {} });
      held.survives = false;
      await a.write(held, "of the first");
      const theirs = await b.hold("app-elsewhere", { appInstance: { id }, shareMode: {} });
      await a.refused(ErrorCode.FILE_CLOSED, a.writeRequest(held, "late"));
      await b.write(theirs, "of the second");
      a.held.length = 0;
      await lose();
      await a.back();
      await a.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, a.reconnectRequest(held));
      await b.write(theirs, "and goes on.");
      assert.equal(world.content("app-elsewhere"), "and goes on.d");
    },
  },
  {
    name: "WPTS _DifferentAppInstanceId",
    run: async (world, lose) => {
      const a = await world.holder("app-other");
      const b = await world.other("app-other b");
      const held = await a.hold("app-other", { appInstance: { id: guid("one") }, shareMode: {} });
      const open = b.openRequest("app-other", { appInstance: { id: guid("two") }, shareMode: {} });
      await lose();
      await b.refused(ErrorCode.FILE_NOT_AVAILABLE, { open });
      await a.back();
      await a.resume(held);
      await b.refused(ErrorCode.SHARING_VIOLATION, { open });
    },
  },
  {
    name: "smb2.session reconnect1, 2, reopen1a: naming the previous session deletes it",
    run: async (world, lose) => {
      const a = await world.holder("session-reconnect");
      const held = await a.hold("session-reconnect", lease("session-reconnect", RWH));
      await a.write(held, "kept");
      await lose();
      const choices = { clientGuid: a.clientGuid, previousSessionId: a.sessionId };
      const next = await world.other("session-reconnect next", choices);
      const reply = (await next.must(a.reconnectRequest(held))).open ?? {};
      assert.equal(reply.lease?.state, RWH);
      assert.equal(await next.read({ asked: held.asked, reply }), "kept");
      const replaced = world.state.session(a.sessionId);
      assert.equal(replaced?.replacedBy ?? next.sessionId, next.sessionId);
      await assert.rejects(a.back(), /USER_SESSION_DELETED|UNKNOWN_SESSION/);
    },
  },
  {
    name: "reopen1, reopen5: a refused resume does not spoil the handle",
    run: async (world, lose) => {
      const a = await world.holder("reopen5");
      const b = await world.other("reopen5 b");
      const held = await a.hold("reopen5", lease("reopen5", RWH));
      await a.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, a.reconnectRequest(held));
      await lose();
      for (let i = 0; i < 3; i++) await b.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, b.reconnectRequest(held));
      await a.back();
      await a.resume(held);
      await a.write(held, "x");
    },
  },
  {
    name: "reconnect-twice: the timer of an earlier loss does not end the handle after a later one",
    run: async (world, lose) => {
      const a = await world.holder("reconnect-twice");
      const held = await a.hold("reconnect-twice", { timeoutMs: 20_000 });
      await lose();
      await world.pass(10_000);
      await a.back();
      await a.resume(held);
      a.gate.shut();
      await world.pass(12_000);
      await a.back();
      await a.resume(held);
    },
  },
  {
    name: "durable-v2-setinfo: other times of the file do not matter",
    run: async (world, lose) => {
      const a = await world.holder("setinfo");
      const held = await a.hold("setinfo");
      const handle = held.reply.handle ?? null;
      await a.must({ setInfo: { handle, endOfFile: 10 } });
      await a.must({ setInfo: { handle, modifiedMs: 1_000 } });
      await lose();
      await a.back();
      assert.equal((await a.resume(held)).info?.size, 10);
    },
  },
  {
    name: "read-only: a file created read-only stays writable through its handle",
    run: async (world, lose) => {
      const a = await world.holder("read-only");
      const held = await a.hold("read-only", { fileAttributes: 1, disposition: v1.Disposition.CREATE });
      await lose();
      await a.back();
      await a.resume(held);
      await a.write(held, "written");
      assert.equal(world.content("read-only"), "written");
    },
  },
  {
    name: "two-same-lease, two-different-lease",
    run: async (world, lose) => {
      const a = await world.holder("two-leases");
      const helds = [];
      for (const [i, key] of ["one", "one", "two"].entries())
        helds.push(
          await a.hold("two-leases", { createGuid: guid(`two ${i}`), ...lease(`two-leases ${key}`, RH) }),
        );
      await lose();
      await a.back();
      for (const held of helds) assert.equal((await a.resume(held)).lease?.state, RH);
    },
  },
  {
    name: "release valve: its own orphans do not hold a client off that asks so",
    run: async (world, lose) => {
      const a = await world.holder("orphans");
      const held = await a.hold("orphans");
      await lose();
      await a.back();
      const open = a.openRequest("orphans", { createGuid: guid("orphans 2") });
      await a.refused(ErrorCode.FILE_NOT_AVAILABLE, { open });
      await a.must({ open: { ...open, closeMyOrphans: true } });
      await a.refused(ErrorCode.OBJECT_NAME_NOT_FOUND, a.reconnectRequest(held));
    },
  },
];
