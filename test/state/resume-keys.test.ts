import assert from "node:assert/strict";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { assertCode, World } from "./harness.js";

const { ErrorCode } = v1;

describe("resume keys", () => {
  function keys(): World {
    const world = new World({ nodes: [] });
    world.register("s1", 1, { foreign: true });
    world.register("s2", 1, { foreign: true });
    return world;
  }
  const claim = (node: string, more: v1.IClaimKey = {}) => ({
    claimKey: { key: "k", node, nodeIncarnation: 1, ...more },
  });
  const store = (node: string, epoch: number, more: v1.IStoreKey = {}) => ({
    storeKey: { key: "k", node, nodeIncarnation: 1, epoch, state: Uint8Array.of(epoch), ...more },
  });

  const release = (nodeIncarnation: number, epoch: number) => ({
    releaseKey: { key: "k", node: "s1", nodeIncarnation, epoch },
  });
  const owned = (world: World) => {
    const { owner, ownerIncarnation, epoch } = world.machine.key("k") ?? {};
    return { owner, ownerIncarnation, epoch };
  };
  /** The nodes to which the latest command sent such events. */
  const toldOf = (world: World, kind: string) => world.eventsOf(kind).map(({ node }) => node);

  it("are fenced by owner, incarnation, epoch and version", () => {
    const world = keys();
    assert.equal(world.ok(claim("s1")).key?.epoch, 1);
    assert.equal(world.ok(claim("s1")).repeated, true);
    assertCode(world.run(claim("s2")), ErrorCode.NOT_OWNER);
    assert.equal(world.ok(store("s1", 1)).key?.version, 2);
    assertCode(world.run(store("s1", 2)), ErrorCode.STALE_EPOCH);
    assertCode(world.run(store("s2", 1)), ErrorCode.NOT_OWNER);
    assertCode(world.run(store("s1", 1, { expectVersion: 1 })), ErrorCode.PRECONDITION_FAILED);
    world.ok(store("s1", 1, { expectVersion: 2 }));
    assertCode(
      world.run(store("s1", 1, { state: new Uint8Array(limits.keyStateBytesMax + 1) })),
      ErrorCode.LIMIT_EXCEEDED,
    );
    world.ok(store("s1", 1, { state: new Uint8Array(limits.keyStateBytesMax) }));
  });

  it("move to their like when their owner dies, with their unresolved effects; the late write of the dead is refused", () => {
    const world = keys();
    world.register("ours", 1);
    world.ok(claim("s1", { state: Uint8Array.of(9) }));
    const fence = { node: "s1", nodeIncarnation: 1, epoch: 1 };
    const effect = { kind: v1.EffectKind.EFFECT_FOREIGN, key: "k", description: Uint8Array.of(1) };
    const begun = world.ok({ beginEffect: { fence, effect } });
    world.kill("s1");
    assert.equal(world.machine.key("k")?.owner, "s2");
    assert.equal(world.machine.key("k")?.epoch, 2);
    assert.deepEqual(Buffer.from(world.machine.key("k")?.state ?? []), Buffer.from([9]));
    assert.equal([...world.machine.effects()][0]?.owner, "s2");
    assertCode(world.run(store("s1", 1)), ErrorCode.STALE_EPOCH);
    assertCode(world.finish(begun.effect?.effect ?? {}), ErrorCode.NOT_OWNER);
    assertCode(
      world.run({ releaseKey: { key: "k", node: "s2", nodeIncarnation: 1, epoch: 2 } }),
      ErrorCode.PRECONDITION_FAILED,
    );
    world.finish([...world.machine.effects()][0] ?? {});
    world.ok({ releaseKey: { key: "k", node: "s2", nodeIncarnation: 1, epoch: 2 } });
  });

  it("follow their owner's next process; the one before it can do nothing any more", () => {
    const world = keys();
    world.ok(claim("s1"));
    const begin = (nodeIncarnation: number, epoch: number) => ({
      beginEffect: {
        fence: { node: "s1", nodeIncarnation, epoch },
        effect: { kind: v1.EffectKind.EFFECT_FOREIGN, key: "k", description: Uint8Array.of(1) },
      },
    });
    const before = world.ok(begin(1, 1)).effect?.effect;
    world.register("s1", 2, { foreign: true });
    assert.deepEqual(toldOf(world, "key-moved"), ["s1"]);
    assert.deepEqual(toldOf(world, "effect-needed"), ["s1"]);
    assert.deepEqual(owned(world), { owner: "s1", ownerIncarnation: 2, epoch: 2 });
    // By its name alone, and by the epoch of now that it may have asked for.
    assertCode(world.run(claim("s1")), ErrorCode.STALE_EPOCH);
    assertCode(world.run(store("s1", 1)), ErrorCode.STALE_EPOCH);
    assertCode(world.run(store("s1", 2)), ErrorCode.NOT_OWNER);
    assertCode(world.run(begin(1, 2)), ErrorCode.NOT_OWNER);
    assertCode(world.run(release(1, 2)), ErrorCode.NOT_OWNER);
    assertCode(world.finish(before ?? {}), ErrorCode.NOT_OWNER);
    world.finish([...world.machine.effects()][0] ?? {});
    world.ok(release(2, 2));
  });

  it("are refused with who owns them, and at which epoch", () => {
    const world = keys();
    world.ok(claim("s1"));
    for (const command of [claim("s2"), claim("s2", { expectEpoch: 7 }), store("s1", 7), store("s2", 1)]) {
      const { error } = world.run(command);
      assert.equal(error?.owner?.node, "s1");
      assert.equal(error?.epoch, 1);
    }
  });

  it("can be taken from an owner that gives them up, by whoever names the epoch", () => {
    const world = keys();
    world.ok(claim("s1", { state: Uint8Array.of(9) }));
    assertCode(world.run(claim("s2", { expectEpoch: 2 })), ErrorCode.STALE_EPOCH);
    const taken = world.ok(claim("s2", { expectEpoch: 1 })).key;
    assert.deepEqual(Buffer.from(taken?.state ?? []), Buffer.from([9]));
    assert.deepEqual(toldOf(world, "key-moved"), ["s1"], "who has it no more hears of it");
    assertCode(world.run(store("s1", 1)), ErrorCode.STALE_EPOCH);
    assertCode(world.run(store("s1", 2)), ErrorCode.NOT_OWNER);
    world.ok(store("s2", 2));
  });

  it("can be claimed from the dead by who did not inherit them, with what was announced under them", () => {
    const world = keys();
    world.ok(claim("s1", { timeoutMs: 5_000, state: Uint8Array.of(9) }));
    const fence = { node: "s1", nodeIncarnation: 1, epoch: 1 };
    const effect = { kind: v1.EffectKind.EFFECT_FOREIGN, key: "k", description: Uint8Array.of(1) };
    const begun = world.ok({ beginEffect: { fence, effect } }).effect?.effect;
    assert.deepEqual([begun?.owner, begun?.ownerIncarnation], ["s1", 1]);
    world.register("ours", 1);
    world.ok({ scheduleNode: { node: "s2", cordoned: true } });
    world.kill("s1");
    assert.deepEqual(owned(world), { owner: "s1", ownerIncarnation: 1, epoch: 1 }, "nobody inherits");
    assert.equal([...world.machine.effects()][0]?.owner, "s1", "least of all a node of ours");
    assertCode(world.run(claim("s1")), ErrorCode.LEASE_LOST);
    assertCode(world.run(claim("s2", { expectEpoch: 7 })), ErrorCode.STALE_EPOCH);
    const taken = world.ok(claim("s2")).key;
    assert.deepEqual(Buffer.from(taken?.state ?? []), Buffer.from([9]));
    assert.deepEqual(toldOf(world, "effect-needed"), ["s2"]);
    assert.deepEqual(owned(world), { owner: "s2", ownerIncarnation: 1, epoch: 2 });
    const [inherited] = [...world.machine.effects()];
    assert.equal(inherited?.owner, "s2");
    assert.equal(inherited.handedOver, (begun?.handedOver ?? 0) + 1);
    world.pass(60_000);
    assert.notEqual(world.machine.key("k"), undefined, "the time of the orphan is over");
    const outcome = new Uint8Array(limits.replyBytesMax);
    const late = { node: "s2", nodeIncarnation: 1, effectId: inherited.id ?? 0 };
    assertCode(world.run({ finishEffect: { ...late, outcome } }), ErrorCode.LIMIT_EXCEEDED);
    assert.equal(world.finish(inherited).error, undefined);
    // It is the new owner's in every respect: when that one dies it goes on.
    world.register("s3", 1, { foreign: true });
    world.kill("s2");
    assert.deepEqual(owned(world), { owner: "s3", ownerIncarnation: 1, epoch: 3 });
  });

  it("go to nobody of another group or kind, and to whoever of their kind comes next", () => {
    const world = new World({ nodes: [] });
    const group = (name: string) => ({ foreign: true, labels: { group: name } });
    world.register("s1", 1, group("x"));
    world.register("s2", 1, group("y"));
    world.register("ours", 1, { labels: { group: "x" } });
    world.ok(claim("s1", { timeoutMs: 0 }));
    world.ok({ claimKey: { key: "timed", node: "s1", nodeIncarnation: 1, timeoutMs: 2_000_000 } });
    world.kill("s1");
    assert.equal(owned(world).owner, "s1");
    world.pass(1_000_000);
    world.register("s3", 1, group("y"));
    assert.equal(owned(world).owner, "s1", "without a timeout it waits for ever");
    world.register("s4", 1, group("x"));
    assert.deepEqual(owned(world), { owner: "s4", ownerIncarnation: 1, epoch: 2 });
    assert.deepEqual(toldOf(world, "key-moved"), ["s4", "s4"]);
    world.pass(3_000_000);
    assert.equal(world.machine.key("timed")?.owner, "s4", "the time of the orphan is over");
    world.kill("s4");
    world.pass(2_000_000);
    assert.equal(world.machine.key("timed"), undefined);
  });

  it("are gone when they are released, with their state; so is what was stored before", () => {
    const world = keys();
    world.ok(claim("s1"));
    world.restart();
    world.ok(store("s1", 1, { state: Uint8Array.of(5) }));
    world.restart();
    assert.deepEqual(Buffer.from(world.machine.key("k")?.state ?? []), Buffer.from([5]));
    world.ok(release(1, 1));
    assert.equal(world.machine.key("k"), undefined);
    world.restart();
    assert.equal(world.machine.key("k"), undefined);
    assertCode(world.run(store("s1", 1)), ErrorCode.UNKNOWN_KEY);
    assertCode(world.run(release(1, 1)), ErrorCode.UNKNOWN_KEY);
    const anew = world.ok(claim("s2")).key;
    assert.equal(anew?.state?.length ?? 0, 0);
    world.kill("s1");
    assert.equal(owned(world).owner, "s2", "nothing of it is left with its former owner");
  });

  it("have a name and a first state within their limits, in bytes", () => {
    const world = keys();
    const named = (key: string) => ({ claimKey: { key, node: "s1", nodeIncarnation: 1 } });
    assertCode(world.run(named("")), ErrorCode.INVALID_ARGUMENT);
    const { keyBytesMax, keyStateBytesMax } = limits;
    world.ok(named("k".repeat(keyBytesMax)));
    assertCode(world.run(named("k".repeat(keyBytesMax + 1))), ErrorCode.LIMIT_EXCEEDED);
    assertCode(world.run(named("ü".repeat(keyBytesMax / 2 + 1))), ErrorCode.LIMIT_EXCEEDED);
    const state = (bytes: number) => claim("s1", { state: new Uint8Array(bytes) });
    assertCode(world.run(state(keyStateBytesMax + 1)), ErrorCode.LIMIT_EXCEEDED);
    world.ok(state(keyStateBytesMax));
  });

  it("have effects that a repeat finds by slot and sequence, each with its description, at most 64 at a time", () => {
    const world = keys();
    world.ok(claim("s1"));
    const fence = { node: "s1", nodeIncarnation: 1, epoch: 1 };
    const begin = (slot: number, sequence: number, description = Uint8Array.of(slot)) =>
      world.run({
        beginEffect: {
          fence,
          request: { slot, sequence },
          effect: { kind: v1.EffectKind.EFFECT_FOREIGN, key: "k", description },
        },
      });
    const first = begin(0, 1);
    const again = begin(0, 1);
    assert.equal(again.repeated, true);
    assert.equal(again.effect?.effect?.id, first.effect?.effect?.id);
    for (const other of [begin(1, 1), begin(0, 2)]) assert.equal(other.repeated ?? false, false);
    assert.deepEqual(
      [...world.machine.effects()].map(({ description }) => description?.[0]),
      [0, 1, 0],
    );
    for (let slot = 2; [...world.machine.effects()].length < limits.slotsPerSession; slot++) begin(slot, 1);
    assertCode(begin(0, 99), ErrorCode.LIMIT_EXCEEDED);
    assertCode(begin(0, 99, new Uint8Array(limits.keyStateBytesMax + 1)), ErrorCode.LIMIT_EXCEEDED);
    assert.equal(begin(0, 1).repeated, true, "a repeat is none more");
  });

  it("that expire take what was announced under them along; a claim that came first wins", () => {
    const world = keys();
    world.ok(claim("s1", { timeoutMs: 5_000 }));
    const fence = { node: "s1", nodeIncarnation: 1, epoch: 1 };
    world.ok({ beginEffect: { fence, effect: { kind: v1.EffectKind.EFFECT_FOREIGN, key: "k" } } });
    world.kill("s2");
    const early = { key: "k", epoch: 1, deadlineMs: 0 };
    assertCode(world.run({ expireKey: early }), ErrorCode.NO_CHANGE);
    world.kill("s1");
    const deadlineMs = world.machine.key("k")?.deadlineMs ?? 0;
    const expire = (more: v1.IExpireKey) => ({ expireKey: { key: "k", epoch: 1, deadlineMs, ...more } });
    assertCode(world.run(expire({})), ErrorCode.NO_CHANGE);
    world.nowMs = deadlineMs;
    assertCode(world.run(expire({ epoch: 2 })), ErrorCode.NO_CHANGE);
    assertCode(world.run(expire({ deadlineMs: deadlineMs - 1 })), ErrorCode.NO_CHANGE);
    world.ok(expire({}));
    assert.deepEqual([...world.machine.effects()], []);
    assertCode(world.run(expire({})), ErrorCode.UNKNOWN_KEY);
    world.restart();
  });

  it("wait for a claim when nobody is left, and expire", () => {
    const world = keys();
    world.ok(claim("s1", { timeoutMs: 5_000 }));
    world.kill("s2");
    world.kill("s1");
    assertCode(world.run(store("s1", 1)), ErrorCode.LEASE_LOST);
    assertCode(
      world.run({ releaseKey: { key: "k", node: "s1", nodeIncarnation: 1, epoch: 1 } }),
      ErrorCode.LEASE_LOST,
    );
    world.pass(4_999);
    assert.equal(world.machine.key("k")?.owner, "s1");
    world.restart();
    world.pass(1);
    assert.equal(world.machine.key("k"), undefined);
  });
});
