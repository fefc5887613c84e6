import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import { ALL, type Client, READ, RH, R, World } from "../harness.js";
import { inEachSituation } from "../situations.js";

const E = v1.EffectKind;

function world(): World {
  const made = new World();
  for (const dir of ["one", "two"]) made.file(dir, true);
  made.file("one/old");
  return made;
}

/** A lease of a directory. */
function leased(on: World, client: Client, path: string, key: string, lease = RH): v1.IHandleRecord {
  return on.opened(client, { path, directory: true, access: READ, leaseKey: key, lease, guid: `g ${key}` });
}

/** Makes a file in the directory `one`, under a lease of its own that names a parent. */
function create(on: World, client: Client, parentKey?: string, path = "one/new"): void {
  on.opened(client, {
    path,
    leaseKey: `of ${path}`,
    lease: R,
    ...(parentKey === undefined ? {} : { parentKey }),
  });
}

describe("leases of directories: whose, and what becomes of them", () => {
  it("the parent key exempts the one lease that has it, of the same client, and no other", () => {
    const on = world();
    const [a, b] = [on.client("a"), on.client("b")];
    leased(on, a, "one", "mine");
    leased(on, a, "one", "mine too");
    // The same bytes in another client's hand are another key.
    leased(on, b, "one", "mine");
    create(on, a, "mine");
    assert.equal(on.lease(a, "mine")?.breaking, false);
    assert.equal(on.lease(a, "mine too")?.breaking, true);
    assert.equal(on.lease(b, "mine")?.breaking, true);
  });

  it("without a parent key the client's own end too; those of other directories do not", () => {
    const on = world();
    const a = on.client("a");
    leased(on, a, "one", "mine");
    leased(on, a, "two", "the other");
    create(on, a);
    assert.equal(on.lease(a, "mine")?.breaking, true);
    assert.equal(on.lease(a, "the other")?.breaking, false);
  });

  it("R alone just ends, with a notice and without an answer", () => {
    const on = world();
    const [a, b] = [on.client("a"), on.client("b")];
    leased(on, b, "one", "kb", R);
    const epoch = on.lease(b, "kb")?.epoch ?? 0;
    const begun = on.run(on.openCommand(a, { path: "one/new" }));
    on.finish(begun.open?.effect ?? {});
    const [told] = on.eventsOf("lease-break");
    assert.equal(told?.leaseBreak?.ackRequired ?? false, false);
    assert.equal(told?.leaseBreak?.breakTo ?? 0, 0);
    assert.deepEqual(
      [on.lease(b, "kb")?.state, on.lease(b, "kb")?.breaking, on.lease(b, "kb")?.epoch],
      [0, false, epoch + 1],
    );
  });

  inEachSituation("while its holder is away a break waits for it, and nobody for the break", (lose) => {
    const on = world();
    const [a, b] = [on.client("a", "n3"), on.client("b")];
    const handle = leased(on, b, "one", "kb");
    const epoch = on.lease(b, "kb")?.epoch ?? 0;
    lose(on, b);
    create(on, a, undefined, "one/first");
    create(on, a, undefined, "one/second");
    const kept = on.lease(b, "kb");
    assert.deepEqual(
      [kept?.state, kept?.breaking, kept?.stored, kept?.breakToRequired, kept?.epoch],
      [RH, true, true, 0, epoch],
    );
    assert.notEqual(on.ack(b, "kb", 0).error, undefined, "it has not been told yet");
    on.pass(50_000);
    assert.equal(on.lease(b, "kb")?.stored, true, "no time runs for who has not been told");
    on.connect(b);
    const resumed = on.reconnect(b, handle);
    assert.equal(resumed.error, undefined);
    assert.equal(resumed.open?.lease?.state, RH, "what it has is what it had");
    const told = on.eventsOf("lease-break");
    assert.equal(told.length, 1, "one break for two changes");
    assert.equal(told[0]?.node, on.session(b).owner, "by way of who owns the session now");
    assert.deepEqual(
      [told[0]?.leaseBreak?.current, told[0]?.leaseBreak?.breakTo ?? 0, told[0]?.leaseBreak?.ackRequired],
      [RH, 0, true],
    );
    assert.equal(on.lease(b, "kb")?.epoch, epoch + 1, "it counts when it is told");
    assert.equal(on.ack(b, "kb", 0).error, undefined);
    assert.equal(on.lease(b, "kb")?.state, 0);
  });

  inEachSituation("R alone is gone by the time its holder is back", (lose) => {
    const on = world();
    const [a, b] = [on.client("a", "n3"), on.client("b")];
    const handle = leased(on, b, "one", "kb", R);
    lose(on, b);
    create(on, a);
    assert.deepEqual([on.lease(b, "kb")?.state, on.lease(b, "kb")?.breaking], [0, false]);
    on.connect(b);
    assert.equal(on.reconnect(b, handle).open?.lease?.state ?? 0, 0);
    assert.equal(on.eventsOf("lease-break").length, 0);
  });

  it("a rename ends those of the directory that it leaves, and of the one that it comes to", () => {
    for (const given of ["handle", "path"] as const) {
      const on = world();
      const [a, b] = [on.client("a"), on.client("b")];
      leased(on, b, "one", "k1");
      leased(on, b, "two", "k2");
      const handleId = given === "handle" ? on.opened(a, { path: "one/old", access: ALL }).id : null;
      const where = handleId ? { handleId } : { share: "ca", path: "one/old" };
      const effect = { kind: E.EFFECT_RENAME, targetPath: "two/new", ...where };
      on.perform(on.ok({ beginEffect: { fence: on.fence(a), effect } }));
      assert.equal(on.lease(b, "k1")?.breaking, true, given);
      assert.equal(on.lease(b, "k2")?.breaking, true, given);
    }
  });

  it("they go with their directory when that is renamed, and are found under its new name", () => {
    const on = world();
    const [a, b] = [on.client("a"), on.client("b")];
    const handle = leased(on, b, "one", "kb", R);
    const effect = { kind: E.EFFECT_RENAME, share: "ca", path: "one", targetPath: "three", directory: true };
    on.perform(on.ok({ beginEffect: { fence: on.fence(a), effect } }));
    assert.equal(on.handle(handle).path, "three");
    assert.equal(on.lease(b, "kb")?.state, R);
    create(on, a, undefined, "three/new");
    assert.equal(on.lease(b, "kb")?.state, 0);
  });

  it("the close of a handle that may only append ends them, that of a directory does not", () => {
    const on = world();
    const [a, b] = [on.client("a"), on.client("b")];
    leased(on, b, "one", "kb");
    const folder = on.opened(a, { path: "one", directory: true, access: ALL });
    on.close(a, folder);
    assert.equal(on.lease(b, "kb")?.breaking, false);
    on.close(a, on.opened(a, { path: "one/old", access: 0x4 }));
    assert.equal(on.lease(b, "kb")?.breaking, true);
  });
});
