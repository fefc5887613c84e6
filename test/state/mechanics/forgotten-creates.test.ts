import { deepEqual, equal } from "node:assert/strict";
import { ErrorCode } from "../../../src/wire/errors.js";
import { v1 } from "../../../src/wire/index.js";
import { limits } from "../../../src/wire/limits.js";
import { assertCode, type Client, effectOf, isParked, type OpenSpec, World } from "../harness.js";

/**
 * A session keeps a bounded number of tombstones. What a replay gets when the one that it looks for may have been among
 * those that went: never a second create (semantics.md B2, consequence).
 */
describe("replay of a create whose tombstone may be gone", () => {
  const spec: OpenSpec = { path: "early", guid: "early", disposition: v1.Disposition.CREATE };

  /** A create that was closed, and so many more closes behind it. */
  function closedBefore(closes: number, more: OpenSpec = {}): { world: World; a: Client } {
    const world = new World();
    const a = world.client("a");
    world.close(a, world.opened(a, { ...spec, ...more }));
    for (let i = 0; i < closes; i++) world.close(a, world.opened(a, { path: "other", guid: `other ${i}` }));
    return { world, a };
  }

  it("is refused as closed while the tombstone is there, and when it has gone", () => {
    const at = limits.tombstonesPerSessionMax;
    for (const closes of [at - 1, at, at + 1]) {
      const { world, a } = closedBefore(closes);
      world.restart();
      const result = world.run(world.openCommand(a, { ...spec, replay: true }));
      assertCode(result, ErrorCode.FILE_CLOSED);
    }
  });

  it("is refused in another session of the same client too", () => {
    const { world, a } = closedBefore(limits.tombstonesPerSessionMax);
    const other = world.client("a", "n2", { resumeToken: Buffer.alloc(16, 7) });
    equal(Buffer.compare(a.guid, other.guid), 0);
    assertCode(world.run(world.openCommand(other, { ...spec, replay: true })), ErrorCode.FILE_CLOSED);
  });

  it("runs where nothing was forgotten: a create that was never seen", () => {
    const { world, a } = closedBefore(limits.tombstonesPerSessionMax - 1);
    const lost = world.openCommand(a, { path: "lost", guid: "lost", replay: true });
    equal(effectOf(world.run(lost))?.kind, v1.EffectKind.EFFECT_CREATE);
  });

  it("runs under a request id that its slot has not seen, and is refused under one that it has gone past", () => {
    const { world, a } = closedBefore(limits.tombstonesPerSessionMax, { request: { slot: 3, sequence: 7 } });
    world.opened(a, { path: "third", guid: "third", request: { slot: 3, sequence: 8 } });
    const again = { ...spec, replay: true };
    assertCode(
      world.run(world.openCommand(a, { ...again, request: { slot: 3, sequence: 7 } })),
      ErrorCode.SEQUENCE_MISORDERED,
    );
    const lost = { path: "lost", guid: "lost", replay: true, request: { slot: 3, sequence: 9 } };
    equal(effectOf(world.run(world.openCommand(a, lost)))?.kind, v1.EffectKind.EFFECT_CREATE);
  });

  it("under a request id that was never used is refused while the tombstone is there, and is a new create behind that", () => {
    const request = { slot: 3, sequence: 9 };
    for (const [closes, runs] of [
      [limits.tombstonesPerSessionMax - 1, false],
      [limits.tombstonesPerSessionMax, true],
    ] as const) {
      const again = { disposition: v1.Disposition.OPEN_IF };
      const { world, a } = closedBefore(closes, again);
      world.restart();
      const result = world.run(world.openCommand(a, { ...spec, ...again, replay: true, request }));
      if (runs) equal(result.open?.handle?.createAction, v1.CreateAction.OPENED);
      else assertCode(result, ErrorCode.FILE_CLOSED);
    }
  });

  it("concerns nothing else: a create without the flag, a handle that was never persistent, another client", () => {
    const { world, a } = closedBefore(limits.tombstonesPerSessionMax);
    const plain = { path: "early", guid: "plain", kind: v1.HandleKind.PLAIN, replay: true };
    const runs: readonly [Client, OpenSpec][] = [
      [a, { path: "early", guid: "fresh" }],
      [a, plain],
      [world.client("b"), { path: "early", guid: "early", replay: true }],
    ];
    for (const [client, wanted] of runs) {
      const result = world.open(client, wanted);
      deepEqual([result.error, isParked(result)], [undefined, false], wanted.guid);
    }
  });
});
