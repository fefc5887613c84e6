import assert from "node:assert/strict";
import { ErrorCode, v1 } from "../../../src/client/index.js";
import { ATTRIBUTES, guid, type Held, R, READ, RH, RW, RWH, type TortureClient, WRITE } from "../client.js";
import type { Case } from "../run-cases.js";
import type { TortureWorld } from "../world.js";
import { lease } from "./persistent-open.js";

const K = v1.HandleKind;
const LEVELS = [0, R, RH, RW, RWH] as const;

/** Opens a durable handle of a file of its own in the share "plain". */
function durable(client: TortureClient, path: string, level: number, more: Partial<v1.IOpenRequest> = {}) {
  const wanted = level === 0 ? {} : lease(path, level);
  return client.hold(path, { share: "plain", kind: K.DURABLE, ...wanted, ...more });
}

/** Opens as somebody who wants no more than to be let in. */
function plainly(client: TortureClient, path: string, share = "plain"): Promise<Held> {
  return client.hold(path, { share, kind: K.PLAIN });
}

/** What somebody else does with the file of a holder that is away, and what becomes of either. */
interface Meeting {
  readonly name: string;
  readonly level: number;
  readonly holder?: Partial<v1.IOpenRequest>;
  /** The other's open; null: a plain open, which disturbs nobody, and then `act`. */
  readonly open: Partial<v1.IOpenRequest> | null;
  readonly act?: "write" | "rename";
  /** Whether a durable handle that is away is still there afterwards. */
  readonly keeps: boolean;
  /** The other's lease beside a holder that stays; he gets what he asked for where there is none. */
  readonly leaseBeside?: number;
  /** What a persistent holder that is away is told at its return; absent: nothing. */
  readonly stored?: number;
  /** Whether the other waits until a persistent holder is back and has acknowledged. */
  readonly waits?: boolean;
  /** What he gets then. */
  readonly after?: "SHARING_VIOLATION";
}

function asking(state: number): Partial<v1.IOpenRequest> {
  return { desiredAccess: READ | WRITE, ...lease("the other", state) };
}

const MEETINGS: readonly Meeting[] = [
  {
    name: "keep-disconnected-rh-with-stat-open",
    level: RH,
    open: { desiredAccess: ATTRIBUTES },
    keeps: true,
  },
  { name: "keep-disconnected-rh-with-rh-open", level: RH, open: asking(RH), keeps: true, leaseBeside: RH },
  { name: "keep-disconnected-rh-with-rwh-open", level: RH, open: asking(RWH), keeps: true, leaseBeside: RH },
  {
    name: "keep-disconnected-rwh-with-stat-open",
    level: RWH,
    open: { desiredAccess: ATTRIBUTES },
    keeps: true,
  },
  {
    name: "purge-disconnected-rwh-with-rwh-open, durable-open lease, open2-lease",
    level: RWH,
    open: asking(RWH),
    keeps: false,
    stored: RH,
    waits: true,
    leaseBeside: RH,
  },
  {
    name: "purge-disconnected-rwh-with-rh-open",
    level: RWH,
    open: asking(RH),
    keeps: false,
    stored: RH,
    waits: true,
    leaseBeside: RH,
  },
  {
    name: "purge-disconnected-rh-with-share-none-open",
    level: RH,
    open: { desiredAccess: READ | WRITE, shareMode: {} },
    keeps: false,
    stored: R,
    waits: true,
    after: "SHARING_VIOLATION",
  },
  { name: "purge-disconnected-rh-with-write", level: RH, open: null, act: "write", keeps: false, stored: 0 },
  {
    name: "purge-disconnected-rh-with-rename",
    level: RH,
    open: null,
    act: "rename",
    keeps: false,
    stored: R,
    waits: true,
  },
];

/** Sends what a meeting names. */
async function meet(b: TortureClient, path: string, share: string, how: Meeting): Promise<v1.IFileResponse> {
  if (how.open !== null) {
    const open = b.openRequest(path, { share, kind: K.PLAIN, ...how.open });
    return b.ask({ open }, { request: b.requestId() });
  }
  const his = await plainly(b, path, share);
  const handle = his.reply.handle ?? null;
  return how.act === "write"
    ? b.ask(b.writeRequest(his, "his!"))
    : b.ask({ rename: { handle, targetPath: `${path} moved` } }, { request: b.requestId() });
}

function checkActed(world: TortureWorld, path: string, share: string, how: Meeting): void {
  if (how.act === "write") assert.equal(world.content(path, share), "his!");
  if (how.act !== "rename") return;
  assert.equal(world.content(path, share), null);
  assert.equal(world.content(`${path} moved`, share), "mine");
}

/** A durable holder stands in nobody's way: what does not go with its lease ends it. */
function durableMeeting(how: Meeting): Case {
  const name = `${how.name}, durable`;
  return {
    name,
    run: async (world, lose) => {
      const a = await world.holder(name);
      const b = await world.other(`${name} b`);
      const held = await durable(a, name, how.level);
      assert.equal(held.reply.kind, K.DURABLE);
      await a.write(held, "mine");
      await lose();
      const response = await meet(b, name, "plain", how);
      assert.equal(response.error ?? null, null, response.error?.message ?? "");
      checkActed(world, name, "plain", how);
      const stays = how.keeps && !world.serversDie;
      const beside = stays ? (how.leaseBeside ?? 0) : (how.open?.lease?.state ?? 0);
      assert.equal(response.open?.lease?.state ?? 0, beside);
      const resumed = await a.backFor(held, stays);
      if (resumed !== null) assert.equal(resumed.lease?.state, how.level);
    },
  };
}

/** The same with a persistent holder, which is protected: whoever takes something from it waits for its return. */
function persistentMeeting(how: Meeting): Case {
  const name = `${how.name}, persistent`;
  return {
    name,
    run: async (world, lose) => {
      const a = await world.holder(name);
      const b = await world.other(`${name} b`);
      const held = await a.hold(name, lease(name, how.level));
      await a.write(held, "mine");
      await lose();
      a.notices.length = 0;
      let answer: v1.IFileResponse | null = null;
      const met = meet(b, name, "ca", how).then((response) => {
        answer = response;
        return response;
      });
      if (how.waits) {
        await world.pass(500);
        assert.equal(answer, null, "it waits for the holder");
      } else await met;
      assert.equal((await a.backFor(held))?.lease?.state, how.level, "it has lost nothing yet");
      if (how.stored === undefined) {
        await a.must({ ping: {} });
        assert.equal(a.breaks.length, 0, "no break without a cause");
      } else {
        await world.until("the stored break is delivered", () => a.breaks.length > 0, 5_000);
        assert.deepEqual(
          a.breaks.map(({ breakTo }) => breakTo ?? 0),
          [how.stored],
        );
        await a.must({ ackLease: { key: guid(name), state: how.stored } });
      }
      const response = await met;
      assert.equal(
        ErrorCode[response.error?.code ?? 0],
        how.after ?? ErrorCode[0],
        response.error?.message ?? "",
      );
      assert.equal(response.open?.lease?.state ?? 0, how.leaseBeside ?? 0);
      checkActed(world, name, "ca", how);
    },
  };
}

/**
 * Own opens under no key or another, which are somebody else's to the lease: what the lease is when they come first, as in
 * the source (durable-v2-open), and when they come to a handle that has RWH (semantics.md F3: an open for attributes takes
 * nothing from anybody).
 */
const BESIDE: readonly (readonly [
  name: string,
  more: Partial<v1.IOpenRequest>,
  first: number,
  later: number,
])[] = [
  ["stat-and-lease", { desiredAccess: ATTRIBUTES }, RWH, RWH],
  ["nonstat-and-lease", { desiredAccess: READ | WRITE }, RH, RH],
  ["statRH-and-lease", { desiredAccess: ATTRIBUTES, ...lease("statRH", RH) }, RH, RWH],
];

/** The other open first: the lease is what can stand beside it. */
function afterOwnOpen(
  [name, more, granted]: (typeof BESIDE)[number],
  kind: v1.HandleKind.DURABLE | v1.HandleKind.PERSISTENT,
): Case {
  return {
    name: `${name}, ${K[kind].toLowerCase()}`,
    run: async (world, lose) => {
      const path = `${name} first ${kind}`;
      const share = kind === K.DURABLE ? "plain" : "ca";
      const a = await world.holder(path);
      const own = more.lease ? { ...more, ...lease(path.slice(2), RH) } : more;
      const first = async (): Promise<void> => {
        const createGuid = guid(`${path} ${a.requestId(1).sequence}`);
        await a.must({ open: a.openRequest(path, { share, kind: K.PLAIN, createGuid, ...own }) });
      };
      await first();
      const held = await a.hold(path, { share, kind, ...lease(path, RWH) });
      assert.equal(held.reply.kind, kind);
      assert.equal(held.reply.lease?.state, granted);
      held.again = async () => {
        await a.must({ close: { handle: held.reply.handle ?? null } }, { request: a.requestId() });
        await first();
        held.asked = { ...held.asked, createGuid: guid(`${path} again ${a.requestId(1).sequence}`) };
        held.reply = (await a.must({ open: held.asked })).open ?? {};
        assert.equal(held.reply.lease?.state, granted);
      };
      await lose();
      const resumed = await a.backFor(held);
      if (resumed !== null) assert.equal(resumed.lease?.state, granted);
    },
  };
}

export const durableCases: readonly Case[] = [
  ...MEETINGS.map(durableMeeting),
  ...MEETINGS.map(persistentMeeting),
  ...LEVELS.map(
    (level): Case => ({
      name: `open-lease, ${level}: durable with H, and then it outlives its connection, not its server`,
      run: async (world, lose) => {
        const path = `open-lease ${level}`;
        const a = await world.holder(path);
        const held = await durable(a, path, level, { timeoutMs: 0xffffffff });
        const isDurable = level === RH || level === RWH;
        assert.equal(held.reply.kind, isDurable ? K.DURABLE : K.PLAIN);
        assert.equal(held.reply.timeoutMs ?? 0, isDurable ? 300_000 : 0);
        await a.write(held, "kept");
        await lose();
        const resumed = await a.backFor(held, isDurable && !world.serversDie);
        if (resumed === null) return;
        assert.equal(resumed.lease?.state, level);
        assert.equal(await a.read(held), "kept");
      },
    }),
  ),
  ...([RH, RWH] as const).map(
    (level): Case => ({
      name:
        level === RH
          ? "lock-noW-lease: a durable handle with locks and without W ends"
          : "lock-lease, durable",
      run: async (world, lose) => {
        const path = `lock durable ${level}`;
        const a = await world.holder(path);
        const b = await world.other(`${path} b`);
        const held = await durable(a, path, level);
        if (level === RH) held.survives = false;
        held.again = async () => {
          await a.must(a.lockRequest(held, 0, 10));
        };
        await held.again();
        await lose();
        const resumed = await a.backFor(held);
        if (resumed !== null) {
          assert.equal(resumed.locks?.length, 1);
          await a.refused(ErrorCode.LOCK_NOT_GRANTED, a.lockRequest(held, 0, 10));
          return;
        }
        const his = await plainly(b, path);
        await b.must(b.lockRequest(his, 0, 10));
      },
    }),
  ),
  ...([K.DURABLE, K.PERSISTENT] as const).flatMap((kind) => BESIDE.map((how) => afterOwnOpen(how, kind))),
  ...([K.DURABLE, K.PERSISTENT] as const).flatMap((kind) =>
    BESIDE.map(
      ([name, more, , after]): Case => ({
        name: `${name} later, ${K[kind].toLowerCase()}`,
        run: async (world, lose) => {
          const path = `${name} ${kind}`;
          const share = kind === K.DURABLE ? "plain" : "ca";
          const a = await world.holder(path);
          const held = await a.hold(path, { share, kind, ...lease(path, RWH) });
          // An own open under no key, or another, is somebody else's to the lease.
          const beside = async (): Promise<void> => {
            const createGuid = guid(`${path} ${a.requestId(1).sequence}`);
            const told = a.breaks.length;
            const opened = a.ask({
              open: a.openRequest(path, { share, kind: K.PLAIN, createGuid, ...more }),
            });
            if (after !== RWH) {
              await world.until("the own lease is broken", () => a.breaks.length > told, 5_000);
              await a.must({ ackLease: { key: guid(path), state: after } });
            }
            const response = await opened;
            assert.equal(response.error ?? null, null, response.error?.message ?? "");
            assert.equal(response.open?.lease?.state ?? 0, 0);
          };
          held.again = beside;
          await beside();
          await lose();
          const resumed = await a.backFor(held);
          if (resumed !== null) assert.equal(resumed.lease?.state, after);
        },
      }),
    ),
  ),
  {
    name: "stat-open: an open for attributes is durable with its lease",
    run: async (world, lose) => {
      const a = await world.holder("stat-open");
      const held = await durable(a, "stat-open", RWH, { desiredAccess: ATTRIBUTES });
      assert.equal(held.reply.kind, K.DURABLE);
      await lose();
      const resumed = await a.backFor(held);
      if (resumed !== null) assert.equal(resumed.lease?.state, RWH);
    },
  },
  {
    name: "replay-twice-durable: a create is replayed until its handle is used, and then opens anew",
    run: async (world, lose) => {
      const path = "replay-twice-durable";
      const a = await world.holder(path);
      const held = await durable(a, path, RWH, { disposition: v1.Disposition.CREATE });
      // In between it is neither resumed nor opened again: a resume would be its first use.
      a.held.splice(0);
      await lose();
      await a.back();
      if (world.serversDie) {
        // As after its use the flag says nothing about a durable handle that is gone: a new create, and the file is there.
        await a.refused(ErrorCode.OBJECT_NAME_COLLISION, { open: held.asked }, { replay: true });
        return;
      }
      for (let i = 0; i < 2; i++) {
        const { open } = await a.must({ open: held.asked }, { replay: true });
        assert(open);
        assert.deepEqual(open.handle?.persistent, held.reply.handle?.persistent);
        assert.equal(open.createAction, v1.CreateAction.CREATED);
        held.reply = open;
      }
      await a.write(held, "used");
      const again = { ...held.asked, disposition: v1.Disposition.OPEN_IF };
      const { open } = await a.must({ open: again }, { replay: true });
      assert.notDeepEqual(open?.handle?.persistent, held.reply.handle?.persistent);
      assert.equal(open?.createAction, v1.CreateAction.OPENED);
    },
  },
  {
    name: "resilient: outlives its connection without a lease, not its server, and holds others off meanwhile",
    run: async (world, lose) => {
      const path = "resilient";
      const [a, b] = [await world.holder(path), await world.other(`${path} b`)];
      const held = await durable(a, path, 0, { kind: K.RESILIENT });
      assert.equal(held.reply.kind, K.RESILIENT);
      await a.write(held, "kept");
      await lose();
      const open = { open: b.openRequest(path, { share: "plain", disposition: v1.Disposition.OPEN }) };
      if (world.serversDie) await b.must(open);
      else await b.refused(ErrorCode.FILE_NOT_AVAILABLE, open);
      const again = await a.backFor(held);
      if (again !== null) assert.equal(await a.read(held), "kept");
    },
  },
  {
    name: "delete_on_close1, 2: the mark of a durable handle goes with it, and deletes nothing when a server dies",
    run: async (world, lose) => {
      const a = await world.holder("durable doc");
      const held = await durable(a, "durable doc", RWH, { deleteOnClose: true });
      await a.write(held, "doomed");
      await lose();
      assert.notEqual(world.content("durable doc", "plain"), null);
      if ((await a.backFor(held)) === null) return;
      await a.close(held);
      assert.equal(world.content("durable doc", "plain"), null);
    },
  },
  ...([K.DURABLE, K.PERSISTENT] as const).flatMap((kind): Case[] => {
    const share = kind === K.DURABLE ? "plain" : "ca";
    const called = K[kind].toLowerCase();
    return [
      {
        name: `durable_v2_reconnect_delay, ${called}`,
        run: async (world, lose) => {
          const path = `delay ${called}`;
          const a = await world.holder(path);
          const held = await a.hold(path, { share, kind, timeoutMs: 30_000, ...lease(path, RWH) });
          await lose();
          await world.pass(10_000);
          await a.backFor(held);
        },
      },
      {
        name: `durable_v2_reconnect_delay_msec, ${called}: gone after a millisecond`,
        run: async (world, lose) => {
          const path = `delay_msec ${called}`;
          const a = await world.holder(path);
          const held = await a.hold(path, { share, kind, timeoutMs: 1, ...lease(path, RWH) });
          assert.equal(held.reply.timeoutMs, 1);
          held.survives = false;
          await lose();
          const b = await world.other(`${path} b`);
          await world.until(
            "it is expired",
            () => [...world.state.handlesOfFile(share, path)].length === 0,
            10_000,
          );
          const open = b.openRequest(path, { share, ...lease("the other", RWH) });
          assert.equal((await b.must({ open })).open?.lease?.state, RWH);
          await a.backFor(held);
        },
      },
    ];
  }),
];
