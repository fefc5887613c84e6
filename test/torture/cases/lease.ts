import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { guid, R, READ, RH, RWH } from "../client.js";
import type { Case } from "../run-cases.js";
import { lease } from "./persistent-open.js";

const D = v1.Disposition;

export const leaseCases: readonly Case[] = [
  {
    name: "breaking1-3, v2_epoch1-3, lease-epoch: a break under way is delivered again at resume",
    run: async (world, lose) => {
      const a = await world.holder("breaking");
      const b = await world.other("breaking b");
      const held = await a.hold("breaking", lease("breaking", RWH));
      const epoch = held.reply.lease?.epoch ?? 0;
      const opened = b.ask({ open: b.openRequest("breaking", lease("breaking b", RWH)) });
      await world.until("the holder is told", () => a.breaks.length === 1);
      assert.deepEqual([a.breaks[0]?.breakTo, a.breaks[0]?.epoch], [RH, epoch + 1]);
      a.notices.length = 0;
      await lose();
      a.notices.length = 0;
      await a.back();
      const resumed = await a.resume(held);
      assert.equal(resumed.lease?.state, RWH);
      await world.until("it is told again", () => a.breaks.length === 1);
      assert.deepEqual([a.breaks[0]?.breakTo, a.breaks[0]?.epoch], [RH, epoch + 1], "the same break");
      const key = guid("breaking");
      await a.refused(ErrorCode.REQUEST_NOT_ACCEPTED, { ackLease: { key, state: RWH } });
      await a.must({ ackLease: { key, state: RH } });
      await a.refused(ErrorCode.UNSUCCESSFUL, { ackLease: { key, state: RH } });
      const open = (await opened).open;
      assert.equal(open?.lease?.state, RH);
    },
  },
  {
    name: "breaking3, v2_breaking3: a lower target while away",
    run: async (world, lose) => {
      const a = await world.holder("breaking3");
      const b = await world.other("breaking3 b");
      const c = await world.other("breaking3 c");
      const held = await a.hold("breaking3", lease("breaking3", RWH));
      const epoch = held.reply.lease?.epoch ?? 0;
      await lose();
      const first = b.ask({ open: b.openRequest("breaking3", lease("breaking3 b", R)) });
      await world.pass(200);
      const second = c.ask({ open: c.openRequest("breaking3", { disposition: D.OVERWRITE }) });
      await world.pass(200);
      await a.back();
      await a.resume(held);
      const key = guid("breaking3");
      const seen: [from: number, to: number][] = [];
      while ((world.state.lease(a.clientGuid, key)?.state ?? 0) !== 0) {
        await world.until("the next break", () => a.breaks.length > seen.length, 5_000);
        const { current, breakTo, epoch: at } = a.breaks[seen.length] ?? {};
        seen.push([current ?? 0, breakTo ?? 0]);
        assert((at ?? 0) > epoch, "the epoch counts");
        await a.must({ ackLease: { key, state: breakTo ?? 0 } });
      }
      assert.equal(seen.at(-1)?.[1], 0);
      assert.equal((await first).error ?? null, null);
      // The overwrite breaks what the second opener got too; R needs no acknowledgement.
      assert.equal((await second).error ?? null, null);
    },
  },
  {
    name: "upgrade, nobreakself, duplicate_open after the failover",
    run: async (world, lose) => {
      const a = await world.holder("upgrade");
      const held = await a.hold("upgrade", lease("upgrade", R));
      await lose();
      await a.back();
      await a.resume(held);
      const more = { createGuid: guid("upgrade 2"), ...lease("upgrade", RWH) };
      const upgraded = await a.hold("upgrade", more);
      assert.equal(upgraded.reply.lease?.state, RWH);
      assert.equal(upgraded.reply.lease?.epoch, (held.reply.lease?.epoch ?? 0) + 1);
      const elsewhere = a.openRequest("upgrade elsewhere", lease("upgrade", R));
      await a.refused(ErrorCode.INVALID_PARAMETER, { open: elsewhere });
      await a.must({ ping: {} });
      assert.equal(a.breaks.length, 0, "its own opens break nothing");
    },
  },
  {
    name: "timeout-disconnect: whoever is away keeps its lease",
    run: async (world, lose) => {
      const a = await world.holder("timeout-disconnect");
      const b = await world.other("timeout-disconnect b");
      const held = await a.hold("timeout-disconnect", {
        ...lease("timeout-disconnect", RWH),
        timeoutMs: 300_000,
      });
      const opened = b.ask({ open: b.openRequest("timeout-disconnect") });
      await world.until("the holder is told", () => a.breaks.length === 1);
      await lose();
      await world.pass(40_000);
      a.notices.length = 0;
      await a.back();
      assert.equal((await a.resume(held)).lease?.state, RWH);
      await world.until("the stored break", () => a.breaks.length === 1, 5_000);
      await a.must({ ackLease: { key: guid("timeout-disconnect"), state: RH } });
      assert.equal((await opened).error ?? null, null);
    },
  },
  {
    name: "unlink, initial_delete: a delete disposition waits for the absent holder's H",
    run: async (world, lose) => {
      const a = await world.holder("unlink");
      const b = await world.other("unlink b");
      const his = await b.hold("unlink");
      const held = await a.hold("unlink", lease("unlink", RH));
      assert.equal(held.reply.lease?.state, RH);
      await lose();
      let answer: v1.IFileResponse | null = null;
      const mark = { setInfo: { handle: his.reply.handle ?? null, deleteOnClose: true } };
      const marked = b.ask(mark, { request: b.requestId() }).then((response) => {
        answer = response;
        return response;
      });
      await world.pass(300);
      assert.equal(answer, null, "it waits");
      await a.back();
      await a.resume(held);
      await world.until("the stored break", () => a.breaks.length === 1, 5_000);
      assert.equal(a.breaks[0]?.breakTo, R);
      await a.must({ ackLease: { key: guid("unlink"), state: R } });
      assert.equal((await marked).error ?? null, null);
      await b.refused(ErrorCode.DELETE_PENDING, {
        open: b.openRequest("unlink", { createGuid: guid("third") }),
      });
      await b.close(his);
      assert.equal(world.content("unlink"), "", "somebody has it open");
      await a.close(held);
      assert.equal(world.content("unlink"), null);
    },
  },
  {
    name: "rename_wait, v2_rename: the path of a resumed handle and of its lease follow",
    run: async (world, lose) => {
      const a = await world.holder("rename-wait");
      const b = await world.other("rename-wait b");
      const his = await b.hold("rename-wait");
      const held = await a.hold("rename-wait", lease("rename-wait", RH));
      await a.write(held, "kept");
      await lose();
      await a.back();
      await a.resume(held);
      a.notices.length = 0;
      const rename = { rename: { handle: his.reply.handle ?? null, targetPath: "rename-waited" } };
      const renamed = b.ask(rename, { request: b.requestId() });
      await world.until("the holder is told", () => a.breaks.length === 1, 5_000);
      assert.equal(world.content("rename-waited"), null, "it waits");
      await a.must({ ackLease: { key: guid("rename-wait"), state: R } });
      assert.equal((await renamed).error ?? null, null);
      assert.equal(world.content("rename-waited"), "kept");
      assert.equal(await a.read(held), "kept");
    },
  },
  ...(["create", "remove"] as const).map(
    (change): Case => ({
      name: `smb2.dirlease, ${change} while the holder is away`,
      run: async (world, lose) => {
        const path = `dirlease-${change}`;
        const a = await world.holder(path);
        const b = await world.other(`${path} b`);
        await b.must({ makeDirectory: { share: "ca", path } });
        await b.close(await b.hold(`${path}/old`));
        const spec = { disposition: D.OPEN, wantDirectory: true, desiredAccess: READ };
        const held = await a.hold(path, { ...spec, ...lease(path, RH) });
        assert.equal(held.reply.lease?.state, RH);
        await lose();
        if (change === "create") await b.hold(`${path}/new`);
        else await b.must({ remove: { share: "ca", path: `${path}/old` } });
        await a.back();
        await a.resume(held);
        await world.until("the stored break", () => a.breaks.length === 1, 5_000);
        assert.equal(a.breaks[0]?.breakTo ?? 0, 0);
        await a.must({ ackLease: { key: guid(path), state: 0 } });
      },
    }),
  ),
];
