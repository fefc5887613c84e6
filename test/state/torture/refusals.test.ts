import assert from "node:assert/strict";
import { createStateMachine, FORMAT_VERSION } from "../../../src/state/index.js";
import { v1 } from "../../../src/wire/index.js";
import { assertCode, DELETE, guid, READ, RWH, World, WRITE } from "../harness.js";

const { ErrorCode } = v1;

/** Each of these rules was taken out once, and no other test of the state noticed. */
describe("refusals at their edges", () => {
  describe("the order of the reconnect checks (semantics A6)", () => {
    const leased = { path: "file", guid: "g", leaseKey: "k", lease: RWH };

    /** A handle whose client is away, and a session of the same client guid under another principal. */
    function stranger() {
      const world = new World();
      const a = world.client("a");
      const handle = world.opened(a, leased);
      world.disconnect(a);
      const thief = world.client("a", "n2", {
        clientGuid: a.guid,
        principal: "mallory",
        resumeToken: guid("t"),
      });
      return { world, thief, handle };
    }

    it("what is not the handle is not found, whatever else is wrong", () => {
      const { world, thief, handle } = stranger();
      const wrong = { createGuid: guid("other"), otherContexts: true, path: "elsewhere" };
      assertCode(world.reconnect(thief, handle, wrong), ErrorCode.OBJECT_NAME_NOT_FOUND);
    });

    it("a request that is invalid is that before anybody asks whose the handle is", () => {
      const { world, thief, handle } = stranger();
      for (const invalid of [{ otherContexts: true }, { path: "elsewhere" }])
        assertCode(world.reconnect(thief, handle, invalid), ErrorCode.INVALID_PARAMETER);
      assertCode(world.reconnect(thief, handle), ErrorCode.ACCESS_DENIED);
    });

    it("the name of a leased file does not count once the handle is marked for deletion", () => {
      const world = new World();
      const a = world.client("a");
      world.file("file");
      const handle = world.opened(a, { ...leased, access: READ | DELETE, deleteOnClose: true });
      world.disconnect(a);
      world.connect(a);
      assert.equal(world.reconnect(a, handle, { path: "elsewhere" }).error, undefined);
    });
  });

  describe("replay of a persistent create (semantics B2)", () => {
    it("that does not ask for persistence is invalid", () => {
      const world = new World();
      const a = world.client("a");
      world.opened(a, { guid: "g" });
      const replay = { guid: "g", replay: true, kind: v1.HandleKind.DURABLE };
      assertCode(world.open(a, replay), ErrorCode.INVALID_PARAMETER);
    });

    it("by guid alone: options, access and share mode each have to agree", () => {
      const world = new World();
      const a = world.client("a");
      const b = world.client("b", "n2", { principal: "a" });
      world.opened(a, { guid: "g" });
      world.disconnect(a);
      const replay = { guid: "g", replay: true };
      const other = world.openCommand(b, replay);
      for (const command of [
        world.openCommand(b, { ...replay, access: READ }),
        world.openCommand(b, { ...replay, shareMode: {} }),
        { openHandle: { ...other.openHandle, createOptions: 64 } },
      ])
        assertCode(world.run(command), ErrorCode.CONTEXT_MISMATCH);
      assert.equal(world.run(other).open?.replayed, true);
    });
  });

  it("application takeover needs the right to read (semantics D3)", () => {
    const world = new World();
    const appInstance = { id: guid("app") };
    world.opened(world.client("a"), { guid: "g", appInstance });
    const b = world.client("b", "n2");
    const open = { guid: "h", appInstance };
    assertCode(world.open(b, { ...open, access: WRITE }), ErrorCode.ACCESS_DENIED);
    assert.equal(world.open(b, { ...open, access: READ }).error, undefined);
  });

  it("release valve: orphans of another client, or of another principal, are left alone", () => {
    const world = new World();
    const a = world.client("a");
    const old = world.opened(a, { guid: "g" });
    world.disconnect(a);
    const others = [
      world.client("b", "n2", { principal: "a" }),
      world.client("a", "n2", { clientGuid: a.guid, principal: "mallory", resumeToken: guid("t") }),
    ];
    for (const other of others)
      assertCode(world.open(other, { guid: other.principal, orphans: true }), ErrorCode.FILE_NOT_AVAILABLE);
    world.connect(a);
    assert.equal(world.reconnect(a, old).error, undefined);
  });

  describe("delete on close (semantics C3, F1)", () => {
    it("needs the right to delete, and a file that may be deleted", () => {
      const world = new World();
      const a = world.client("a");
      const fileId = world.file("file");
      const mark = { deleteOnClose: true, access: READ };
      assertCode(world.open(a, mark), ErrorCode.ACCESS_DENIED);
      const observed = { exists: true, fileId, readOnly: true, revision: world.index };
      assertCode(world.open(a, { ...mark, access: READ | DELETE, observed }), ErrorCode.CANNOT_DELETE);
    });

    it("as a create option marks the file when its handle closes, not before; the last handle deletes it", () => {
      const world = new World();
      const a = world.client("a");
      const b = world.client("b", "n2");
      world.file("file");
      const marked = world.opened(a, { guid: "g", access: READ | DELETE, deleteOnClose: true });
      const other = world.opened(b, { guid: "h" });
      const third = world.opened(b, { guid: "i" });
      world.close(b, third);
      world.close(a, marked);
      assert.ok(world.files.has("ca:file"), "another has it open");
      assertCode(world.open(a, { guid: "j" }), ErrorCode.DELETE_PENDING);
      world.close(b, other);
      assert.equal(world.files.has("ca:file"), false);
    });
  });

  it("lock sequence buckets are 1 to 64 (semantics B3)", () => {
    const world = new World();
    const a = world.client("a");
    const handle = world.opened(a, { guid: "g" });
    for (const [bucket, replayed] of [
      [0, false],
      [1, true],
      [64, true],
      [65, false],
    ] as const) {
      const lock = () => world.lock(a, handle, bucket * 10, 1, { bucket: [bucket, 5] });
      assert.equal(lock().error, undefined);
      if (replayed) assert.equal(lock().lock?.replayed, true, `bucket ${bucket}`);
      else assertCode(lock(), ErrorCode.LOCK_NOT_GRANTED);
    }
  });

  it("a handle's record of a newer version is refused with a sentence (semantics H 29)", () => {
    const world = new World();
    world.opened(world.client("a"), { guid: "g" });
    world.flush();
    let handles = 0;
    const records = [...world.disk.entries()].map(([key, value]) => {
      const record = { key: Buffer.from(key, "latin1"), value };
      if (!isHandle(record.key, world)) return record;
      handles += 1;
      const handle = v1.HandleRecord.decode(value);
      handle.formatVersion = FORMAT_VERSION + 1;
      return { ...record, value: v1.HandleRecord.encode(handle).finish() };
    });
    assert.equal(handles, 1);
    const load = () => {
      const machine = createStateMachine();
      machine.load(records);
      machine.finishLoad();
    };
    assert.throws(load, /a handle of format version 2/);
  });
});

/** Its id is that of the one handle, which no other key ends with. */
function isHandle(key: Uint8Array, world: World): boolean {
  const [handle] = [...world.machine.handles()];
  return Buffer.from(key)
    .subarray(-16)
    .equals(Buffer.from(handle?.id ?? []));
}
