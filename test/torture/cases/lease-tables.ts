import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { limits } from "../../../src/wire/limits.js";
import { ATTRIBUTES, guid, type Held, R, RH, RW, RWH, type TortureClient, WRITE } from "../client.js";
import { LEASE_BREAKS, LEASE_UPGRADES } from "../lease-expectations.js";
import type { Case } from "../run-cases.js";
import type { TortureWorld } from "../world.js";
import { lease } from "./persistent-open.js";

const D = v1.Disposition;

/** What is asked for and what is granted, none of which a failover changes. */
const REQUESTS: readonly (readonly [asked: number, granted: number])[] = [
  [R, R],
  [RH, RH],
  [RW, RW],
  [RWH, RWH],
  [2, 0],
  [4, 0],
  [6, 0],
];

/** Another handle of the file under a guid of its own. */
function another(
  client: TortureClient,
  path: string,
  n: string,
  more: Partial<v1.IOpenRequest>,
): v1.IOpenRequest {
  return client.openRequest(path, { createGuid: guid(`${client.name} ${path} ${n}`), ...more });
}

/** Rights of a client's lease, as the state has them; 0: none, or no lease. */
export function stateOf(world: TortureWorld, client: TortureClient, key: string): number {
  return world.state.lease(client.clientGuid, guid(key))?.state ?? 0;
}

/** Waits until a client was told of its `n`-th break. */
export async function told(world: TortureWorld, client: TortureClient, n = 1): Promise<v1.ILeaseBreak> {
  await world.until(`${client.name} is told`, () => client.breaks.length >= n, 5_000);
  return client.breaks[n - 1] ?? {};
}

export const leaseTableCases: readonly Case[] = [
  {
    name: "request: what is granted, and what is left of it",
    run: async (world, lose) => {
      const a = await world.holder("lease request");
      const helds: Held[] = [];
      for (const [asked, granted] of REQUESTS) {
        const held = await a.hold(`lease request ${asked}`, lease(`request ${asked}`, asked));
        assert.equal(held.reply.lease?.state ?? 0, granted);
        helds.push(held);
      }
      await lose();
      await a.backWithHandles();
      for (const [i, [asked, granted]] of REQUESTS.entries())
        assert.equal(helds[i]?.reply.lease?.state ?? 0, granted, `${asked}`);
    },
  },
  ...LEASE_UPGRADES.map(
    ([held, asked, result]): Case => ({
      name: `upgrade, upgrade2: ${held} and ${asked}`,
      run: async (world, lose) => {
        const path = `upgrade ${held} ${asked}`;
        const a = await world.holder(path);
        const first = await a.hold(path, lease(path, held));
        await lose();
        const epoch = (await a.backFor(first))?.lease?.epoch ?? 0;
        const reply = (await a.must({ open: another(a, path, "2", lease(path, asked)) })).open;
        assert.equal(reply?.lease?.state, result);
        assert.equal(reply?.lease?.epoch, epoch + (result === held ? 0 : 1));
        await a.must({ ping: {} });
        assert.equal(a.breaks.length, 0, "nobreakself");
      },
    }),
  ),
  {
    name: "upgrade3: what others hold limits an upgrade",
    run: async (world, lose) => {
      const a = await world.holder("upgrade3");
      const b = await world.other("upgrade3 b");
      const held = await a.hold("upgrade3", lease("upgrade3", R));
      await b.hold("upgrade3", lease("upgrade3 b", R));
      await lose();
      await a.backFor(held);
      const reply = (await a.must({ open: another(a, "upgrade3", "2", lease("upgrade3", RWH)) })).open;
      assert.equal(reply?.lease?.state, RH);
    },
  },
  ...LEASE_BREAKS.map(
    ([level, asked, after, others, waits]): Case => ({
      name: `break: ${level} against ${asked}`,
      run: async (world, lose) => {
        const path = `break ${level} ${asked}`;
        const a = await world.holder(path);
        const b = await world.other(`${path} b`);
        const held = await a.hold(path, lease(path, level));
        await lose();
        assert.equal((await a.backFor(held))?.lease?.state, level);
        let answered = false;
        const opened = b.ask({ open: b.openRequest(path, lease(`${path} b`, asked)) }).then((response) => {
          answered = true;
          return response;
        });
        if (waits) {
          const { current, breakTo } = await told(world, a);
          assert.deepEqual([current, breakTo], [level, after]);
          await world.pass(100);
          assert(!answered, "it waits for the acknowledgement");
          await a.must({ ackLease: { key: guid(path), state: after } });
        }
        assert.equal((await opened).open?.lease?.state, others);
        assert.equal(stateOf(world, a, path), after);
        assert.equal(a.breaks.length, waits ? 1 : 0);
      },
    }),
  ),
  {
    name: "multibreak, two-leases: one break for many handles and for many who wait",
    run: async (world, lose) => {
      const a = await world.holder("multibreak");
      const b = await world.other("multibreak b");
      const c = await world.other("multibreak c");
      for (let i = 0; i < 3; i++)
        await a.hold("multibreak", { createGuid: guid(`multibreak ${i}`), ...lease("multibreak", RWH) });
      await lose();
      await a.backWithHandles();
      const opened = [b, c].map((client) => client.ask({ open: client.openRequest("multibreak") }));
      await told(world, a);
      await world.until("both wait", () => {
        const waiting = [...world.state.pending()].map(({ sessionId }) => sessionId);
        return waiting.includes(b.sessionId) && waiting.includes(c.sessionId);
      });
      assert.equal(a.breaks.length, 1);
      await a.must({ ackLease: { key: guid("multibreak"), state: RH } });
      for (const response of await Promise.all(opened)) assert.equal(response.error ?? null, null);
      assert.equal(a.breaks.length, 1);
    },
  },
  {
    name: "statopen: an open for attributes breaks nothing, while the holder is away and when it is back",
    run: async (world, lose) => {
      const a = await world.holder("statopen");
      const b = await world.other("statopen b");
      const held = await a.hold("statopen", lease("statopen", RWH));
      await lose();
      await b.must({ open: another(b, "statopen", "1", { desiredAccess: ATTRIBUTES }) });
      assert.equal((await a.backFor(held))?.lease?.state, RWH);
      await b.must({ open: another(b, "statopen", "2", { desiredAccess: ATTRIBUTES }) });
      await a.must({ ping: {} });
      assert.equal(a.breaks.length, 0);
    },
  },
  ...([R, RH] as const).map(
    (level): Case => ({
      name: `breaking4, breaking5: an overwrite against ${level} waits for nobody`,
      run: async (world, lose) => {
        const path = `breaking45 ${level}`;
        const a = await world.holder(path);
        const b = await world.other(`${path} b`);
        const held = await a.hold(path, lease(path, level));
        await lose();
        await a.backFor(held);
        await b.must({ open: b.openRequest(path, { disposition: D.OVERWRITE }) });
        const { breakTo, ackRequired } = await told(world, a);
        assert.equal(breakTo ?? 0, 0);
        assert.equal(ackRequired ?? false, level === RH);
        const ack = { ackLease: { key: guid(path), state: 0 } };
        if (level === RH) await a.must(ack);
        await a.refused(ErrorCode.UNSUCCESSFUL, ack);
        assert.equal(stateOf(world, a, path), 0);
      },
    }),
  ),
  ...([RH, R, 0] as const).map(
    (acked): Case => ({
      name: `breaking6: any subset may be acknowledged, ${acked}`,
      run: async (world, lose) => {
        const path = `breaking6 ${acked}`;
        const a = await world.holder(path);
        const b = await world.other(`${path} b`);
        const held = await a.hold(path, lease(path, RWH));
        await lose();
        await a.backFor(held);
        const opened = b.ask({ open: b.openRequest(path) });
        await told(world, a);
        await a.must({ ackLease: { key: guid(path), state: acked } });
        assert.equal((await opened).error ?? null, null);
        assert.equal(stateOf(world, a, path), acked);
      },
    }),
  ),
  ...(["keeps", "closes"] as const).map(
    (how): Case => ({
      name: `sharing_violation: the holder ${how} its handle`,
      run: async (world, lose) => {
        const path = `sharing ${how}`;
        const a = await world.holder(path);
        const b = await world.other(`${path} b`);
        const held = await a.hold(path, { ...lease(path, RWH), shareMode: { read: true } });
        await lose();
        await a.backFor(held);
        const opened = b.ask({ open: b.openRequest(path, { desiredAccess: WRITE }) });
        const { breakTo } = await told(world, a);
        assert.equal(breakTo, RW, "H goes, W stays");
        if (how === "closes") await a.close(held);
        else await a.must({ ackLease: { key: guid(path), state: RW } });
        const code = (await opened).error?.code ?? 0;
        assert.equal(ErrorCode[code], how === "closes" ? ErrorCode[0] : "SHARING_VIOLATION");
      },
    }),
  ),
  {
    name: "lock1-3: a lock ends the leases of others, not the own one",
    run: async (world, lose) => {
      const a = await world.holder("lock-breaks");
      const b = await world.holder("lock-breaks b");
      const held = await a.hold("lock-breaks", lease("lock-breaks", RH));
      const his = await b.hold("lock-breaks", lease("lock-breaks b", RH));
      await lose();
      await a.backFor(held);
      await b.backFor(his);
      await a.must(a.lockRequest(held, 0, 1));
      assert.equal((await told(world, b)).breakTo ?? 0, 0);
      await b.must({ ackLease: { key: guid("lock-breaks b"), state: 0 } });
      assert.equal(a.breaks.length, 0);
      assert.equal(stateOf(world, a, "lock-breaks"), RH);
    },
  },
  {
    name: "timeout: without an acknowledgement the lease of whoever is back ends, and a late one fails",
    run: async (world, lose) => {
      const a = await world.holder("lease timeout");
      const b = await world.other("lease timeout b");
      const held = await a.hold("lease timeout", lease("lease timeout", RWH));
      await lose();
      await a.backFor(held);
      const from = world.nowMs;
      const opened = b.ask({ open: b.openRequest("lease timeout") });
      await told(world, a);
      const response = await opened;
      assert.equal(response.error ?? null, null, response.error?.message ?? "");
      assert(world.nowMs - from >= limits.breakAckPersistentMs, "not before its time was over");
      assert.equal(stateOf(world, a, "lease timeout"), 0);
      await a.refused(ErrorCode.UNSUCCESSFUL, { ackLease: { key: guid("lease timeout"), state: RH } });
    },
  },
  {
    name: "v2_rename_target_overwrite: an open target gives up H, and stops the rename all the same",
    run: async (world, lose) => {
      const a = await world.holder("rename-target");
      const b = await world.other("rename-target b");
      const his = await b.hold("rename-target source");
      const held = await a.hold("rename-target", lease("rename-target", RWH));
      await lose();
      await a.backFor(held);
      const rename = { handle: his.reply.handle ?? null, targetPath: "rename-target", replace: true };
      const renamed = b.ask({ rename }, { request: b.requestId() });
      assert.equal((await told(world, a)).breakTo, RW);
      await a.must({ ackLease: { key: guid("rename-target"), state: RW } });
      assert.equal(ErrorCode[(await renamed).error?.code ?? 0], "ACCESS_DENIED");
      assert.equal(world.content("rename-target source"), "");
    },
  },
  {
    name: "initial_delete_logoff: a closed session deletes what it marked",
    run: async (world, lose) => {
      const a = await world.holder("delete-logoff");
      const held = await a.hold("delete-logoff", { deleteOnClose: true });
      await lose();
      await a.backFor(held);
      a.held.splice(0);
      await a.must({ closeSession: {} });
      await world.until("the file is gone", () => world.content("delete-logoff") === null);
    },
  },
  {
    name: "initial_delete_disconnect: a plain handle's mark fires with its connection, not because a server died",
    run: async (world, lose) => {
      const a = await world.holder("delete-disconnect");
      await a.hold("delete-disconnect", { kind: v1.HandleKind.PLAIN, deleteOnClose: true });
      await lose();
      if (!world.serversDie) {
        await world.until("the file is gone", () => world.content("delete-disconnect") === null);
        return;
      }
      await world.pass(1_000);
      assert.equal(world.content("delete-disconnect"), "");
    },
  },
];
