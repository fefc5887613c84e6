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
