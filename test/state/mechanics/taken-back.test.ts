import assert from "node:assert/strict";
import { v1 } from "../../../src/wire/index.js";
import { type Client, World } from "../harness.js";

const { ErrorCode } = v1;
const REQUEST = { slot: 0, sequence: 1 };

describe("an append that was taken back", () => {
  const setUp = () => {
    const world = new World();
    world.file("file");
    const a = world.client("a");
    const b = world.client("b");
    return {
      world,
      a,
      b,
      mine: world.opened(a, { path: "file" }),
      others: world.opened(b, { path: "file" }),
    };
  };
  const begin = (
    world: World,
    client: Client,
    handle: v1.IHandleRecord,
    offset: number,
    request = REQUEST,
    length = 5,
  ): v1.ICommandResult =>
    world.run({
      beginEffect: {
        fence: world.fence(client),
        request,
        effect: { kind: v1.EffectKind.EFFECT_APPEND, handleId: handle.id ?? null, offset, length },
      },
    });
  const finish = (world: World, effect: v1.IEffectRecord | null | undefined, more: v1.IFinishEffect) =>
    world.run({
      finishEffect: {
        node: effect?.owner ?? "",
        nodeIncarnation: effect?.ownerIncarnation ?? 0,
        effectId: effect?.id ?? 0,
        ...more,
      },
    });
  const takeBack = (world: World, result: v1.ICommandResult, takenBack = true) =>
    finish(world, result.effect?.effect, {
      takenBack,
      error: { code: ErrorCode.NOT_READY, message: "again" },
    });

  it("tells its repeat where it was, over a restart and a change of owner", () => {
    const { world, a, mine } = setUp();
    takeBack(world, begin(world, a, mine, 7));
    world.restart();
    world.kill("n1");
    world.connect(a);
    const handle = world.reconnect(a, mine).open?.handle ?? {};
    const again = begin(world, a, handle, 12);
    assert.deepEqual(again.effect?.effect?.earlierOffsets, [7]);
    takeBack(world, again);
    assert.deepEqual(begin(world, a, handle, 12).effect?.effect?.earlierOffsets, [7, 12], "each place once");
  });

  it("tells it nothing once another append stands: its bytes may be the same", () => {
    const { world, a, b, mine, others } = setUp();
    takeBack(world, begin(world, a, mine, 7));
    finish(world, begin(world, b, others, 7).effect?.effect, { size: 12 });
    assert.deepEqual(begin(world, a, mine, 12).effect?.effect?.earlierOffsets, []);
  });

  it("tells it nothing when nothing of it was done, and another call neither", () => {
    const { world, a, mine } = setUp();
    takeBack(world, begin(world, a, mine, 7), false);
    const again = begin(world, a, mine, 7);
    assert.deepEqual(again.effect?.effect?.earlierOffsets, []);
    takeBack(world, again);
    const next = begin(world, a, mine, 7, { slot: 0, sequence: 2 }, 6);
    assert.deepEqual(next.effect?.effect?.earlierOffsets, []);
  });
});
