import { equal, ok } from "node:assert/strict";
import { ErrorCode } from "../../../src/wire/errors.js";
import { v1 } from "../../../src/wire/index.js";
import {
  assertCode,
  type Client,
  effectOf,
  guid,
  isParked,
  type OpenSpec,
  RWH,
  SHARE_NONE,
  World,
} from "../harness.js";

/** Application takeover against what is not over yet (semantics.md D3). */
describe("application takeover", () => {
  let world: World;
  let old: Client;
  let heir: Client;

  function wanted(version: number, more: OpenSpec = {}): OpenSpec {
    const appInstance = { id: guid("app"), hasVersion: true, versionHigh: 1, versionLow: version };
    return { path: "f", appInstance, guid: `by ${version}`, ...more };
  }

  function doneOf(result: v1.ICommandResult): v1.ICommandResult | undefined {
    const pendingId = result.open?.pendingId ?? -1;
    const done = world.eventsOf("pending-done").find((event) => event.pendingDone?.pendingId === pendingId);
    return done?.pendingDone?.result ?? undefined;
  }

  function answer(node: string, parked: v1.ICommandResult): void {
    const nodeIncarnation = world.machine.node(node)?.incarnation ?? 0;
    world.ok({ lockPrepared: { node, nodeIncarnation, pendingId: parked.open?.pendingId ?? 0 } });
  }

  beforeEach(() => {
    world = new World();
    world.closesTails = false;
    old = world.client("old", "n1");
    heir = world.client("heir", "n2");
    world.file("f");
  });

  it("an open of the old instance that waits is over, and gets nothing when what it waits for comes", () => {
    const holder = world.client("holder", "n3");
    world.opened(holder, { path: "f", leaseKey: "k", lease: RWH });
    const waiting = world.open(old, wanted(1));
    ok(isParked(waiting));
    const taking = world.open(heir, wanted(2));
    assertCode(doneOf(waiting) ?? {}, ErrorCode.FILE_FORCED_CLOSED);
    ok(isParked(taking));
    world.ack(holder, "k", 3);
    equal(doneOf(taking)?.open?.status, v1.OpenResult.Status.DONE);
  });

  it("an open of the new instance that waits keeps the old one out", () => {
    const holder = world.client("holder", "n3");
    world.opened(holder, { path: "f", leaseKey: "k", lease: RWH });
    ok(isParked(world.open(heir, wanted(2))));
    assertCode(world.open(old, wanted(1)), ErrorCode.FILE_FORCED_CLOSED);
  });

  it("a create of the old instance that is under way ends first, and is taken then", () => {
    const creating = world.run(world.openCommand(old, wanted(1, { path: "made" })));
    const effect = effectOf(creating);
    ok(effect);
    const taking = world.open(heir, wanted(2, { path: "made" }));
    ok(isParked(taking));
    const made = world.finish(effect);
    equal(made.open?.status, v1.OpenResult.Status.DONE);
    equal(doneOf(taking), undefined, "the old instance may have begun to write meanwhile");
    equal(
      world.machine.handle(made.open?.handle?.id ?? new Uint8Array())?.state,
      v1.HandleState.HANDLE_CLOSED,
    );
    answer("n1", taking);
    const result = doneOf(taking);
    // What the heir saw was not there yet: it looks again.
    assertCode(result ?? {}, ErrorCode.NOT_READY);
    equal(world.open(heir, wanted(2, { path: "made" })).error, undefined);
  });

  it("an effect of the old handle ends first", () => {
    const handle = world.opened(old, wanted(1));
    const record = world.handle(handle);
    const begun = world.ok({
      beginEffect: {
        fence: world.fence(old),
        effect: {
          kind: v1.EffectKind.EFFECT_APPEND,
          handleId: handle.id ?? null,
          share: "ca",
          path: "f",
          fileId: record.fileId ?? "",
          length: 4,
        },
      },
    });
    const effect = effectOf(begun);
    ok(effect);
    const taking = world.open(heir, wanted(2));
    ok(isParked(taking));
    equal(world.handle(handle).state, v1.HandleState.HANDLE_OPEN);
    world.finish(effect);
    equal(world.handle(handle).state, v1.HandleState.HANDLE_CLOSED);
    answer("n1", taking);
    equal(doneOf(taking)?.open?.status, v1.OpenResult.Status.DONE);
  });

  it("waits for the answer of the old handle's node, over a restart and the end of its own owner, and not for a dead one", () => {
    for (const dead of [false, true]) {
      world = new World();
      world.closesTails = false;
      old = world.client("old", "n1");
      heir = world.client("heir", "n2");
      world.file("f");
      const handle = world.opened(old, wanted(1, { shareMode: SHARE_NONE }));
      const taking = world.open(heir, wanted(2, { shareMode: SHARE_NONE }));
      ok(isParked(taking));
      equal(world.handle(handle).state, v1.HandleState.HANDLE_CLOSED);
      assertCode(world.lock(old, handle, 0, 1), ErrorCode.FILE_CLOSED);
      world.restart();
      world.kill("n2");
      world.connect(heir);
      if (dead) world.kill("n1");
      else answer("n1", taking);
      equal(doneOf(taking)?.open?.status, v1.OpenResult.Status.DONE, `dead: ${dead}`);
    }
  });

  it("waits for nobody when the old client is away, or could only read", () => {
    for (const how of ["away", "reader"]) {
      const path = `g ${how}`;
      world.file(path);
      const his = wanted(1, { path, guid: how, access: how === "reader" ? 1 : 3 });
      world.opened(old, his);
      if (how === "away") world.disconnect(old);
      equal(
        world.open(heir, wanted(2, { path, guid: `${how} heir` })).open?.status,
        v1.OpenResult.Status.DONE,
      );
      if (how === "away") world.connect(old);
    }
  });
});
