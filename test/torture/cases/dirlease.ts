import assert from "node:assert/strict";
import { v1 } from "../../../src/client/index.js";
import { guid, type Held, R, READ, RH, type TortureClient } from "../client.js";
import type { Case } from "../run-cases.js";
import { stateOf, told } from "./lease-tables.js";
import { lease } from "./persistent-open.js";

const D = v1.Disposition;

/** Changes in a leased directory, by a client that names its own lease of the directory as the parent's. */
const CHANGES: Readonly<
  Record<string, (a: TortureClient, path: string, parentKey: Uint8Array) => Promise<unknown>>
> = {
  create: (a, path, parentKey) =>
    a.hold(`${path}/new`, { lease: { key: guid(`${path} f`), state: R, version: 2, parentKey } }),
  overwrite: (a, path, parentKey) => old(a, path, parentKey, { disposition: D.OVERWRITE }),
  rename: async (a, path, parentKey) => {
    const { reply } = await old(a, path, parentKey);
    await a.must({ rename: { handle: reply.handle ?? null, targetPath: `${path}/renamed` } });
  },
  hardlink: async (a, path, parentKey) => {
    const { reply } = await old(a, path, parentKey);
    await a.must({ link: { handle: reply.handle ?? null, targetPath: `${path}/linked` } });
  },
  seteof: (a, path, parentKey) => setInfo(a, path, parentKey, { endOfFile: 3 }),
  setdos: (a, path, parentKey) => setInfo(a, path, parentKey, { attributes: 1 }),
  "set*time": (a, path, parentKey) => setInfo(a, path, parentKey, { modifiedMs: 1_000 }),
  append: async (a, path, parentKey) => {
    const { reply } = await old(a, path, parentKey);
    const data = new Uint8Array(4);
    await a.must({ write: { handle: reply.handle ?? null, append: true, data } }, { request: a.requestId() });
  },
  write: async (a, path, parentKey) => a.must(a.writeRequest(await old(a, path, parentKey), "more")),
  "remove by path": (a, path, parentLeaseKey) =>
    a.must({ remove: { share: "ca", path: `${path}/old`, parentLeaseKey } }),
  "rename by path": (a, path, parentLeaseKey) =>
    a.must({ rename: { share: "ca", path: `${path}/old`, targetPath: `${path}/renamed`, parentLeaseKey } }),
  "mkdir by path": (a, path, parentLeaseKey) =>
    a.must({ makeDirectory: { share: "ca", path: `${path}/made`, parentLeaseKey } }),
  unlink_same_initial_and_close: async (a, path, parentKey) =>
    a.close(await old(a, path, parentKey, { deleteOnClose: true })),
  unlink_same_set_and_close: async (a, path, parentKey) => {
    const held = await old(a, path, parentKey);
    await a.must({ setInfo: { handle: held.reply.handle ?? null, deleteOnClose: true } });
    await a.close(held);
  },
};

/** A handle on a file of the directory, under a lease that names the directory's. */
function old(
  a: TortureClient,
  path: string,
  parentKey: Uint8Array,
  more: Partial<v1.IOpenRequest> = {},
): Promise<Held> {
  const file = { key: guid(`${path} f`), state: R, version: 2, parentKey };
  return a.hold(`${path}/old`, { lease: file, ...more });
}

async function setInfo(
  a: TortureClient,
  path: string,
  parentKey: Uint8Array,
  change: v1.ISetInfoRequest,
): Promise<void> {
  const { reply } = await old(a, path, parentKey);
  await a.must({ setInfo: { handle: reply.handle ?? null, ...change } }, { request: a.requestId() });
}

/** smb2.dirlease: the parent key decides whose lease of the directory ends. */
export const directoryLeaseCases: readonly Case[] = [
  ...Object.entries(CHANGES).map(
    ([change, run]): Case => ({
      name: `v2_request_parent, ${change}: the lease named as the parent's stays, others end`,
      run: async (world, lose) => {
        const path = `parent-${change}`;
        const [a, b, away] = [
          await world.holder(path),
          await world.other(`${path} b`),
          await world.holder(`${path} away`),
        ];
        await b.must({ makeDirectory: { share: "ca", path } });
        await b.close(await b.hold(`${path}/old`));
        const spec = { disposition: D.OPEN, wantDirectory: true, desiredAccess: READ };
        const held = await a.hold(path, { ...spec, ...lease(`${path} a`, RH) });
        await b.hold(path, { ...spec, ...lease(`${path} b`, RH) });
        const absent = await away.hold(path, { ...spec, ...lease(`${path} away`, RH) });
        await lose();
        await a.backFor(held);
        await run(a, path, guid(`${path} a`));
        assert.equal((await told(world, b)).breakTo ?? 0, 0);
        await away.backFor(absent);
        assert.equal((await told(world, away)).breakTo ?? 0, 0, "stored for whoever is away");
        assert.equal(a.breaks.length, 0);
        assert.equal(stateOf(world, a, `${path} a`), RH);
      },
    }),
  ),
  {
    name: "write-close: a lease that was granted after the write ends when its writer closes",
    run: async (world, lose) => {
      const path = "write-close";
      const [a, b] = [await world.holder(path), await world.other(`${path} b`)];
      await b.must({ makeDirectory: { share: "ca", path } });
      const held = await a.hold(`${path}/old`);
      await a.must(a.writeRequest(held, "more"));
      const spec = { disposition: D.OPEN, wantDirectory: true, desiredAccess: READ };
      await b.hold(path, { ...spec, ...lease(path, RH) });
      await lose();
      // Whoever serves it now may not have served it when it was written.
      await a.backFor(held);
      assert.equal(b.breaks.length, 0);
      await a.close(held);
      assert.equal((await told(world, b)).breakTo ?? 0, 0);
    },
  },
  {
    name: "close: one that has written nothing leaves the leases of the directory alone",
    run: async (world, lose) => {
      const path = "idle-close";
      const [a, b] = [await world.holder(path), await world.other(`${path} b`)];
      await b.must({ makeDirectory: { share: "ca", path } });
      await b.close(await b.hold(`${path}/old`));
      const spec = { disposition: D.OPEN, wantDirectory: true, desiredAccess: READ };
      await b.hold(path, { ...spec, ...lease(path, RH) });
      const none = await a.hold(path, { ...spec, createGuid: guid(`${path} none`) });
      await lose();
      await a.backFor(none);
      const held = await a.hold(`${path}/old`);
      await a.must({ read: { handle: held.reply.handle ?? null, offset: 0, length: 1 } });
      await a.close(held);
      await b.must({ ping: {} });
      assert.equal(b.breaks.length, 0);
      assert.equal(stateOf(world, b, path), RH);
    },
  },
  {
    name: "rename_dst_parent: leases of the directory that a name goes to end as well",
    run: async (world, lose) => {
      const path = "dst-parent";
      const a = await world.holder(path);
      const b = await world.other(`${path} b`);
      for (const made of [path, `${path}-to`]) await b.must({ makeDirectory: { share: "ca", path: made } });
      const file = { key: guid(`${path} f`), state: R, version: 2, parentKey: guid(`${path} a`) };
      const held = await a.hold(`${path}/old`, { lease: file });
      const spec = { disposition: D.OPEN, wantDirectory: true, desiredAccess: READ };
      const own = await a.hold(path, { ...spec, ...lease(`${path} a`, RH) });
      await b.hold(`${path}-to`, { ...spec, ...lease(`${path} to`, RH) });
      await lose();
      await a.backFor(held);
      await a.resume(own);
      await a.must({ rename: { handle: held.reply.handle ?? null, targetPath: `${path}-to/new` } });
      assert.equal((await told(world, b)).breakTo ?? 0, 0);
      assert.equal(a.breaks.length, 0);
      assert.equal(stateOf(world, a, `${path} a`), RH);
    },
  },
  {
    name: "unlink_set_and_close: leases of the directory end when the name goes, not when the mark is set",
    run: async (world, lose) => {
      const a = await world.holder("unlink-dir");
      const b = await world.other("unlink-dir b");
      await b.must({ makeDirectory: { share: "ca", path: "unlink-dir" } });
      const held = await a.hold("unlink-dir/old", { deleteOnClose: true });
      const spec = { disposition: D.OPEN, wantDirectory: true, desiredAccess: READ };
      await b.hold("unlink-dir", { ...spec, ...lease("unlink-dir", RH) });
      await lose();
      await a.backFor(held);
      await b.must({ ping: {} });
      assert.equal(b.breaks.length, 0);
      await a.close(held);
      assert.equal((await told(world, b)).breakTo ?? 0, 0);
      assert.equal(world.content("unlink-dir/old"), null);
    },
  },
];
