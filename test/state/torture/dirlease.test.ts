import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import { ALL, type Client, guid, type OpenSpec, R, READ, RH, World } from "../harness.js";

const { ErrorCode } = v1;
const E = v1.EffectKind;

/** A handle on a file in the directory, under a lease that names the directory's by its key. */
function old(
  world: World,
  client: Client,
  parentKey: string,
  more: Partial<OpenSpec> = {},
): v1.IHandleRecord {
  return world.opened(client, { path: "dir/old", access: ALL, leaseKey: "kf", lease: R, parentKey, ...more });
}

/** Changes a file in the directory through such a handle. */
function inside(world: World, client: Client, parentKey: string, kind: v1.EffectKind, targetPath = ""): void {
  const effect = { kind, handleId: old(world, client, parentKey).id ?? null, targetPath };
  world.perform(world.ok({ beginEffect: { fence: world.fence(client), effect } }));
}

/** A client with a lease of the directory, and another one with a file in it. */
function watched(): { world: World; a: Client; b: Client; broken: () => boolean } {
  const world = new World();
  world.file("dir", true);
  world.file("dir/old");
  const [a, b] = [world.client("a"), world.client("b", "n2")];
  world.opened(b, { path: "dir", directory: true, access: READ, leaseKey: "kb", lease: RH });
  return { world, a, b, broken: () => world.lease(b, "kb")?.breaking ?? false };
}

describe("smb2.dirlease", () => {
  const cases: [name: string, change: (world: World, client: Client, parentKey: string) => void][] = [
    [
      "create",
      (world, client, parentKey) => {
        world.opened(client, { path: "dir/new", leaseKey: "kf", lease: R, parentKey });
      },
    ],
    [
      "overwrite",
      (world, client, parentKey) => {
        world.opened(client, {
          path: "dir/old",
          leaseKey: "kf",
          lease: R,
          parentKey,
          disposition: v1.Disposition.OVERWRITE,
        });
      },
    ],
    [
      "rename",
      (world, client, parentKey) => inside(world, client, parentKey, E.EFFECT_RENAME, "dir/renamed"),
    ],
    ["hardlink", (world, client, parentKey) => inside(world, client, parentKey, E.EFFECT_LINK, "dir/linked")],
    ["seteof", (world, client, parentKey) => inside(world, client, parentKey, E.EFFECT_TRUNCATE)],
    [
      "setdos, setctime and its like",
      (world, client, parentKey) => inside(world, client, parentKey, E.EFFECT_SET_ATTRIBUTES),
    ],
    ["an append", (world, client, parentKey) => inside(world, client, parentKey, E.EFFECT_APPEND)],
    [
      "the first write",
      (world, client, parentKey) => {
        const handleId = old(world, client, parentKey).id ?? null;
        world.ok({ breakLeases: { fence: world.fence(client), handleId, operation: "write" } });
      },
    ],
    [
      "the close of a handle that may have written",
      (world, client, parentKey) => void world.close(client, old(world, client, parentKey)),
    ],
    [
      "unlink_same_initial_and_close",
      (world, client, parentKey) =>
        void world.close(client, old(world, client, parentKey, { deleteOnClose: true })),
    ],
    [
      "unlink_same_set_and_close",
      (world, client, parentKey) => {
        const handle = old(world, client, parentKey);
        const mark = { fence: world.fence(client), handleId: handle.id ?? null, delete: true };
        world.ok({ setDisposition: { ...mark, directoryEmpty: true } });
        // Nothing was written through it: what ends leases is the name that goes.
        world.close(client, handle, undefined, { unmodified: true });
      },
    ],
  ];
  for (const [name, change] of cases) {
    it(`v2_request_parent, ${name}: the parent key decides who is broken`, () => {
      const world = new World();
      world.file("dir", true);
      world.file("dir/old");
      const a = world.client("a");
      const b = world.client("b", "n2");
      world.opened(a, { path: "dir", directory: true, access: READ, leaseKey: "ka", lease: RH });
      world.opened(b, { path: "dir", directory: true, access: READ, leaseKey: "kb", lease: RH });
      change(world, a, "ka");
      assert.equal(world.lease(a, "ka")?.breaking, false, "the lease that was named as the parent stays");
      assert.equal(world.lease(b, "kb")?.breakToRequired, 0);
      assert.equal(world.lease(b, "kb")?.breaking, true);
    });
  }

  it("unlink_set_and_close: the directory lease of others is broken when the name goes", () => {
    const world = new World();
    world.file("dir", true);
    world.file("dir/old");
    const a = world.client("a");
    const b = world.client("b", "n2");
    world.opened(b, { path: "dir", directory: true, access: READ, leaseKey: "kb", lease: RH });
    const handle = world.opened(a, { path: "dir/old", access: ALL, deleteOnClose: true });
    assert.equal(world.lease(b, "kb")?.breaking, false);
    world.close(a, handle);
    assert.equal(world.lease(b, "kb")?.breaking, true);
    assert.deepEqual(world.lease(b, "kb")?.key, guid("kb"));
  });

  it("a close that changed nothing, or could not have, ends no lease of the directory", () => {
    for (const [more, unmodified] of [
      [{ access: READ }, false],
      [{}, true],
      // Its client has not even heard that it is open.
      [{ guid: "never used" }, false],
    ] as const) {
      const { world, a, broken } = watched();
      const handle = world.opened(a, { path: "dir/old", ...more });
      world.close(a, handle, undefined, { unmodified });
      assert.equal(broken(), false, JSON.stringify(more));
    }
  });

  it("whoever else closes a handle that may have written ends them too", () => {
    const ways: Record<string, (world: World, a: Client, handle: v1.IHandleRecord) => void> = {
      expiry: (world, a) => {
        world.disconnect(a);
        world.nowMs += 600_000;
        for (const command of world.machine.due(world.nowMs, 10)) world.run(command);
      },
      operator: (world, _a, handle) => void world.ok({ forceClose: { handleId: handle.id ?? null } }),
      "the end of its session": (world, a) => void world.ok({ closeSession: { fence: world.fence(a) } }),
    };
    for (const [way, end] of Object.entries(ways)) {
      const { world, a, broken } = watched();
      const handle = world.opened(a, { path: "dir/old", timeoutMs: 1_000 });
      assert.equal(broken(), false, way);
      end(world, a, handle);
      assert.equal(broken(), true, way);
    }
  });

  it("an effect that was not done, and one that is only announced, end none", () => {
    const { world, a, broken } = watched();
    const handleId = world.opened(a, { path: "dir/old", access: ALL }).id ?? null;
    const begin = { fence: world.fence(a), effect: { kind: E.EFFECT_TRUNCATE, handleId } };
    const begun = world.ok({ beginEffect: begin });
    assert.equal(broken(), false);
    world.finish(begun.effect?.effect ?? {}, { code: ErrorCode.DISK_FULL, message: "no room" });
    assert.equal(broken(), false);
  });

  it("a create whose client is gone puts a name there all the same", () => {
    const { world, a, broken } = watched();
    const begun = world.ok(world.openCommand(a, { path: "dir/new", kind: v1.HandleKind.PLAIN }));
    world.ok({ closeSession: { fence: world.fence(a) } });
    world.finish(begun.open?.effect ?? {});
    assert.equal(broken(), true);
  });
});
