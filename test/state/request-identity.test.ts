import assert from "node:assert/strict";
import { v1 } from "../../src/wire/index.js";
import { ALL, assertCode, type Client, guid, World } from "./harness.js";

const { ErrorCode } = v1;
const E = v1.EffectKind;
const D = v1.Disposition;

type Fields<K extends keyof v1.ICommand> = NonNullable<v1.ICommand[K]>;

/** Commands that carry a request id. */
type Remembered = {
  [K in keyof v1.ICommand]-?: Fields<K> extends { request?: v1.IRequestId | null } ? K : never;
}[keyof v1.ICommand];

/** What a client may say otherwise under the same id. */
interface Calls {
  readonly command: v1.ICommand;
  readonly others: readonly v1.ICommand[];
}

interface Scene {
  readonly world: World;
  readonly a: Client;
  readonly handle: v1.IHandleRecord;
  readonly second: v1.IHandleRecord;
  readonly fence: v1.IFence;
}

const request = { slot: 3, sequence: 7 };

/** A call, and the same with one argument at a time changed. */
function varied<T extends object>(
  wrap: (fields: T) => v1.ICommand,
  fields: T,
  changes: readonly Partial<T>[],
): Calls {
  return { command: wrap(fields), others: changes.map((change) => wrap({ ...fields, ...change })) };
}

function effects(
  { fence }: Scene,
  effect: v1.IEffectRecord,
  changes: readonly Partial<v1.IEffectRecord>[],
): Calls {
  return varied(
    (given: v1.IEffectRecord) => ({ beginEffect: { fence, request, effect: given } }),
    effect,
    changes,
  );
}

/** One row for each command that is remembered, or more. A command without one does not compile. */
const CALLS: Record<
  // The end of a session ends what remembers it: a repeat hears that the session is unknown.
  Exclude<Remembered, "closeSession">,
  Readonly<Record<string, (scene: Scene) => Calls>>
> = {
  openHandle: {
    open: ({ world, a }) => {
      const open = world.openCommand(a, { path: "new", disposition: D.CREATE, access: ALL, request });
      return varied((openHandle: v1.IOpenHandle) => ({ openHandle }), open.openHandle ?? {}, [
        { path: "newer" },
        { share: "so" },
        { disposition: D.OPEN_IF },
        { desiredAccess: 1 },
        { shareMode: { read: true } },
        { deleteOnClose: true },
        { createGuid: guid("another") },
        { kind: v1.HandleKind.PLAIN },
        { timeoutMs: 77 },
        { fileAttributes: 1 },
        { wantDirectory: true },
        { lease: { key: guid("key"), state: 1 } },
        { appInstance: { id: guid("application") } },
        { blob: new Uint8Array(3) },
        { closeMyOrphans: true },
      ]);
    },
  },
  reconnectHandle: {
    reconnect: ({ world, a, handle, second }) => {
      world.disconnect(a);
      world.connect(a);
      const { reconnectHandle } = world.reconnectCommand(a, handle, { request });
      return varied(
        (fields: v1.IReconnectHandle) => ({ reconnectHandle: { ...fields, fence: world.fence(a) } }),
        reconnectHandle ?? {},
        [{ handleId: second.id ?? null }, { createGuid: guid("another") }, { persistent: false }],
      );
    },
  },
  closeHandle: {
    close: ({ fence, handle, second }) =>
      varied(
        (closeHandle: v1.ICloseHandle) => ({ closeHandle }),
        { fence, request, handleId: handle.id ?? null },
        [{ handleId: second.id ?? null }],
      ),
  },
  setDisposition: {
    "delete mark": ({ fence, handle, second }) =>
      varied(
        (setDisposition: v1.ISetDisposition) => ({ setDisposition }),
        { fence, request, handleId: handle.id ?? null, delete: true },
        [{ delete: false }, { handleId: second.id ?? null }],
      ),
  },
  lock: {
    lock: ({ fence, handle, second }) => {
      const element: v1.ILockElement = { offset: 5, length: 5, exclusive: true, failImmediately: true };
      return varied(
        (lock: v1.ILock) => ({ lock }),
        {
          fence,
          request,
          handleId: handle.id ?? null,
          elements: [element],
          sequenceIndex: 1,
          sequenceNumber: 1,
        },
        [
          { elements: [{ ...element, offset: 6 }] },
          { elements: [{ ...element, length: 6 }] },
          { elements: [{ ...element, exclusive: false }] },
          { elements: [{ ...element, unlock: true }] },
          { elements: [element, { ...element, offset: 20 }] },
          { sequenceIndex: 2 },
          { sequenceNumber: 2 },
          { handleId: second.id ?? null },
        ],
      );
    },
  },
  cancelPending: {
    cancel: ({ fence }) =>
      varied((cancelPending: v1.ICancelPending) => ({ cancelPending }), { fence, request, pendingId: 70 }, [
        { pendingId: 71 },
      ]),
  },
  setBlob: {
    blob: ({ fence, handle, second }) =>
      varied(
        (setBlob: v1.ISetBlob) => ({ setBlob }),
        { fence, request, handleId: handle.id ?? null, blob: new Uint8Array(2) },
        [{ blob: new Uint8Array(3) }, { handleId: second.id ?? null }],
      ),
  },
  beginEffect: {
    append: (scene) =>
      effects(
        scene,
        { kind: E.EFFECT_APPEND, handleId: scene.handle.id ?? null, length: 4, dataDigest: guid("data") },
        [{ dataDigest: guid("other") }, { length: 5 }, { handleId: scene.second.id ?? null }],
      ),
    truncate: (scene) =>
      effects(scene, { kind: E.EFFECT_TRUNCATE, handleId: scene.handle.id ?? null, length: 4 }, [
        { length: 5 },
        { kind: E.EFFECT_SET_ATTRIBUTES },
        { handleId: scene.second.id ?? null },
      ]),
    attributes: (scene) =>
      effects(
        scene,
        { kind: E.EFFECT_SET_ATTRIBUTES, handleId: scene.handle.id ?? null, description: Uint8Array.of(1) },
        [{ description: Uint8Array.of(2) }, { handleId: scene.second.id ?? null }],
      ),
    rename: (scene) =>
      effects(scene, { kind: E.EFFECT_RENAME, handleId: scene.handle.id ?? null, targetPath: "to" }, [
        { targetPath: "elsewhere" },
        { replace: true },
        { handleId: scene.second.id ?? null },
      ]),
    link: (scene) =>
      effects(scene, { kind: E.EFFECT_LINK, handleId: scene.handle.id ?? null, targetPath: "to" }, [
        { targetPath: "elsewhere" },
        { replace: true },
      ]),
    "remove by path": (scene) =>
      effects(scene, { kind: E.EFFECT_DELETE, share: "ca", path: "gone", fileId: "f" }, [
        { path: "another" },
        { share: "so" },
        { parentKey: guid("lease") },
      ]),
    "make a directory": (scene) =>
      effects(scene, { kind: E.EFFECT_MKDIR, share: "ca", path: "made", directory: true }, [
        { path: "another" },
        { share: "so" },
        { parentKey: guid("lease") },
      ]),
  },
};

function scene(): Scene {
  const world = new World();
  for (const name of ["file", "second"]) world.file(name);
  const a = world.client("a");
  const open = (path: string) => world.opened(a, { path, guid: path, access: ALL });
  return { world, a, handle: open("file"), second: open("second"), fence: world.fence(a) };
}

describe("a request id names one call (semantics.md B6)", () => {
  for (const [command, rows] of Object.entries(CALLS))
    for (const [name, calls] of Object.entries(rows))
      it(`${command}, ${name}: sent again it is a repeat; with any other argument it is refused and not executed`, () => {
        const { length } = calls(scene()).others;
        assert.ok(length > 0);
        for (let at = 0; at < length; at++) {
          const made = scene();
          const { world } = made;
          const { command: first, others } = calls(made);
          world.perform(world.run(first));
          assert.equal(world.run(first).repeated, true, "the same again");
          const digest = world.machine.digest();
          assertCode(world.run(others[at] ?? {}), ErrorCode.REQUEST_MISMATCH);
          assert.equal(
            world.machine.digest(),
            digest,
            `something was changed by ${JSON.stringify(others[at])}`,
          );
        }
      });
});
