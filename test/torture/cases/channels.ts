import assert from "node:assert/strict";
import { addressOf } from "../../../src/testing/cluster-world/cluster-node.js";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { guid, RH, RWH, type TortureClient } from "../client.js";
import type { Case } from "../run-cases.js";
import { ANCHOR, type TortureWorld } from "../world.js";
import { lease } from "./persistent-open.js";

/** Ends its stream; the session notices that it has one channel fewer. */
async function loseChannel(world: TortureWorld, channel: TortureClient): Promise<void> {
  channel.hangUp();
  // One round trip of the network and more: what the node hears of it, it has heard.
  await world.pass(20);
}

/** Holds all I/O of the shares up for a moment. */
function hangShares(world: TortureWorld, ms: number): void {
  world.shareTimes.hungUntilUs = world.sim.nowUs + ms * 1000;
}

export const channelCases: readonly Case[] = [
  {
    name: "bind1, bind2: a handle is every channel's, and outlives all but the last",
    run: async (world, lose) => {
      const first = await world.holder("bind1");
      const held = await first.hold("bind1");
      const second = await first.bind();
      assert.equal(second.info.channels, 2);
      assert.equal(second.sessionId, first.sessionId);
      await second.write(held, "by the second");
      assert.equal(await first.read(held), "by the second");
      const before = world.state.session(first.sessionId);
      await loseChannel(world, first);
      await second.write(held, "BY");
      const after = world.state.session(first.sessionId);
      assert.equal(after?.connected, true, "the session is not disconnected");
      assert.equal(after?.connection, before?.connection, "nor connected anew");
      await lose();
      await first.backWithHandles();
      const third = await first.bind();
      await third.write(held, "third");
      assert.equal(await first.read(held), "thirde second");
      await loseChannel(world, first);
      await loseChannel(world, third);
      await world.until(
        "without a channel it is disconnected",
        () => world.state.session(first.sessionId)?.connected !== true,
      );
    },
  },
  {
    name: "bind_negative: who may bind, where and when",
    run: async (world, lose) => {
      const a = await world.holder("bind-negative");
      const refused = (code: string, binding: Promise<TortureClient>) =>
        assert.rejects(binding, new RegExp(`^Error: ${code}$`));
      const attempts = async (): Promise<void> => {
        a.gate.only = null;
        await refused("ACCESS_DENIED", a.bind({}, { principal: "somebody else" }));
        await refused("ACCESS_DENIED", a.bind({ clientGuid: guid("another") }));
        await refused("ACCESS_DENIED", a.bind({ resumeToken: guid("guessed") }));
        await refused("INVALID_ARGUMENT", a.bind({ clientGuid: new Uint8Array(3) }));
        await refused("UNKNOWN_SESSION", a.bind({ sessionId: 999_999 }));
        await refused("UNSUPPORTED_VERSION", a.bind({ protocolVersion: 99 }));
        const elsewhere = addressOf(world.node(ANCHOR)?.id ?? 0);
        await refused("NOT_OWNER", a.bind({}, { address: elsewhere }));
      };
      await attempts();
      await lose();
      const away = addressOf(world.node(world.state.session(a.sessionId)?.owner ?? "")?.id ?? 0);
      a.gate.reopen();
      a.gate.only = null;
      await refused("PRECONDITION_FAILED", a.bind({}, { address: away }));
      await a.back();
      await attempts();
      await a.bind();
    },
  },
  {
    name: "a session has 32 channels at most",
    run: async (world, lose) => {
      const a = await world.holder("bind-many");
      await lose();
      await a.back();
      const more: TortureClient[] = [];
      for (let i = 1; i < 32; i++) more.push(await a.bind());
      await assert.rejects(a.bind(), /LIMIT_EXCEEDED/);
      await loseChannel(world, more[7] as TortureClient);
      await a.bind();
    },
  },
  {
    name: "resuming ends all other channels",
    run: async (world, lose) => {
      const a = await world.holder("bind-resume");
      const held = await a.hold("bind-resume");
      const old = await a.bind();
      await lose();
      await a.backWithHandles();
      const next = await a.bind();
      await a.backWithHandles();
      await next.refused(ErrorCode.CANCELLED, next.writeRequest(held, "late"));
      await a.write(held, "now");
      assert.notEqual(old, next);
    },
  },
  {
    name: "replay3: a create is replayed on another channel",
    run: async (world, lose) => {
      const a = await world.holder("bind-replay3");
      const b = await a.bind();
      const open = a.openRequest("bind-replay3", { disposition: v1.Disposition.CREATE });
      const original = (await a.must({ open })).open;
      await a.refused(ErrorCode.DUPLICATE_OBJECTID, { open });
      await b.refused(ErrorCode.DUPLICATE_OBJECTID, { open });
      const replay = (await b.must({ open }, { replay: true })).open;
      assert.deepEqual(replay?.handle, original?.handle, "the same handle, under the same volatile id");
      assert.equal(replay?.createAction, v1.CreateAction.CREATED);
      await lose();
      await a.back();
      const c = await a.bind();
      const again = (await c.must({ open }, { replay: true })).open;
      assert.deepEqual(again?.handle?.persistent, original?.handle?.persistent);
      assert.equal(again?.createAction, v1.CreateAction.CREATED);
      const held = { asked: open, reply: again ?? {} };
      await a.write(held, "on the first channel");
      await c.refused(ErrorCode.FILE_NOT_AVAILABLE, { open }, { replay: true });
    },
  },
  ...(["2n", "2l"] as const).map(
    (variant): Case => ({
      name: `dhv2-pending${variant}-vs-lease-sane: four channels, three of them close`,
      run: async (world, lose) => {
        const path = `channels-pending${variant}`;
        const b = await world.holder(`${path} b`);
        const a = await world.other(path);
        const channels = [b, await b.bind(), await b.bind(), await b.bind()];
        await lose();
        await b.back();
        for (let i = 1; i < 4; i++) channels[i] = await b.bind();
        await a.hold(path, lease(path, RWH));
        const open = b.openRequest(path, variant === "2l" ? lease(`${path} b`, RWH) : {});
        void b.ask({ open });
        await world.until("the holder is told", () => a.breaks.length === 1);
        for (let i = 0; i < 3; i++) {
          await loseChannel(world, channels[i] as TortureClient);
          const next = channels[i + 1] as TortureClient;
          next.channelSequence = b.channelSequence + i + 1;
          await next.refused(ErrorCode.FILE_NOT_AVAILABLE, { open }, { replay: true });
        }
        const last = channels[3] as TortureClient;
        await a.must({ ackLease: { key: guid(path), state: RH } });
        const reply = (await last.must({ open }, { replay: true })).open;
        assert.equal(reply?.replayed, true);
        if (variant === "2l") assert.equal(reply?.lease?.state, RH);
        assert.equal(a.breaks.length, 1, "one break for one open");
        await last.write({ asked: open, reply: reply ?? {} }, "x");
      },
    }),
  ),
  {
    name: "channel-sequence over channels: a replay waits for what the lost channel left running",
    run: async (world, lose) => {
      const a = await world.holder("bind-sequence");
      const held = await a.hold("bind-sequence");
      await lose();
      await a.backWithHandles();
      await a.write(held, "first");
      const b = await a.bind();
      const c = await a.bind();
      const stale = a.channelSequence;
      hangShares(world, 200);
      void a.ask(a.writeRequest(held, "slow"));
      await world.pass(5);
      a.hangUp();
      b.channelSequence = stale + 1;
      await world.pass(5);
      await b.refused(ErrorCode.FILE_NOT_AVAILABLE, b.writeRequest(held, "again"), { replay: true });
      // What another channel had sent before it knew is older than the replay, and comes too late.
      await c.refused(ErrorCode.FILE_NOT_AVAILABLE, c.writeRequest(held, "stale"), {
        channelSequence: stale,
      });
      await world.pass(400);
      await b.must(b.writeRequest(held, "again"), { replay: true });
      await c.refused(ErrorCode.FILE_NOT_AVAILABLE, c.writeRequest(held, "stale"), {
        channelSequence: stale,
      });
      assert.equal(await c.read(held), "again", "the replay stands over the original");
    },
  },
  {
    name: "client library: calls go on over the channels that are left, each done once",
    run: async (world, lose) => {
      const session = await world.library("bind-library", 3);
      const gate = world.gateOf(session);
      const losses: string[] = [];
      session.on("disconnected", ({ reason }) => losses.push(reason));
      const handles = await Promise.all(
        [0, 1, 2, 3].map((i) => session.open(`ca:/bind-library-${i}`, { disposition: "create" })),
      );
      await lose();
      const lostWithServer = losses.length;
      await Promise.all(handles.map((handle) => handle.write(0, bytes("0"))));
      await world.until("it has three channels", () => gate.count === 3);
      const { connection } = world.state.session(session.id) ?? {};
      for (let round = 1; round < 12; round++) {
        // In the middle of appends one channel breaks, the oldest among them in turn.
        const calls = handles.map((handle) => handle.append(bytes(String.fromCharCode(48 + round))));
        await world.pass(round % 4);
        gate.breakOne(round % 3);
        await Promise.all(calls);
        await world.until("the channel is bound again", () => gate.count === 3);
      }
      for (let i = 0; i < handles.length; i++)
        assert.equal(world.content(`bind-library-${i}`), "0123456789:;", "each append once, in order");
      assert.equal(losses.length, lostWithServer, "the session never lost its connection");
      assert.equal(world.state.session(session.id)?.connection, connection);
      await session.close();
    },
  },
  {
    name: "a waiting lock whose channel is lost is answered on another",
    run: async (world, lose) => {
      const a = await world.holder("bind-lock");
      const b = await world.other("bind-lock b");
      const his = await b.hold("bind-lock");
      const held = await a.hold("bind-lock");
      await b.must(b.lockRequest(his, 0, 10));
      await lose();
      await a.backWithHandles();
      const c = await a.bind();
      const request = a.requestId(3);
      void a.ask(a.lockRequest(held, 0, 10, { wait: true }), { request });
      await world.until("it waits", () => waiting(world, a) === 1);
      await loseChannel(world, a);
      c.channelSequence = a.channelSequence + 1;
      const again = c.ask(c.lockRequest(held, 0, 10, { wait: true }), { request, replay: true });
      await world.pass(20);
      assert.equal(waiting(world, a), 1, "once");
      await b.must(b.lockRequest(his, 0, 10, { unlock: true }));
      assert.equal((await again).lock?.held?.length, 1);
    },
  },
  {
    name: "a lease break reaches whichever channel is left",
    run: async (world, lose) => {
      const a = await world.holder("bind-break");
      const b = await world.other("bind-break b");
      await a.hold("bind-break", lease("bind-break", RH));
      await lose();
      await a.backWithHandles();
      const c = await a.bind();
      await loseChannel(world, a);
      const his = await b.hold("bind-break");
      await b.write(his, "breaks R and H");
      await world.until("the notice arrives", () => c.breaks.length > 0);
      assert.deepEqual(
        c.breaks.map(({ breakTo }) => breakTo ?? 0),
        [0],
      );
      assert.equal(a.breaks.length, 0);
    },
  },
  {
    name: "two_logoff: a session closed on one channel is closed on all",
    run: async (world, lose) => {
      const a = await world.holder("bind-logoff");
      const held = await a.hold("bind-logoff");
      await lose();
      await a.backWithHandles();
      const c = await a.bind();
      await a.must({ closeSession: {} });
      const code = (await c.ask({ closeSession: {} })).error?.code ?? 0;
      assert.equal(ErrorCode[code], "NOT_OWNER");
      assert((await c.ask(c.writeRequest(held, "x"))).error);
      await assert.rejects(a.bind(), /UNKNOWN_SESSION/);
    },
  },
];

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function waiting(world: TortureWorld, client: TortureClient): number {
  return [...world.state.pending()].filter((record) => record.sessionId === client.sessionId).length;
}
