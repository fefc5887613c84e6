import assert from "node:assert/strict";
import { ErrorCode } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { guid, World } from "./harness.js";

describe("the outcome of an effect", () => {
  // It comes through the public door and is in the log before anybody looks at it: a member that stopped at it would stop again
  // at each start, and so would all others.
  it("with a create action that does not exist is refused, and the effect stays open for the right one", () => {
    const world = new World();
    const a = world.client("a");
    const command = world.openCommand(a, { guid: "g", path: "new", disposition: v1.Disposition.CREATE });
    const effect = world.run(command).open?.effect;
    assert.ok(effect);
    const outcome = {
      node: effect.owner ?? "",
      nodeIncarnation: effect.ownerIncarnation ?? 0,
      effectId: effect.id ?? 0,
      fileId: "f1",
    };
    for (const createAction of [5, 99, -1]) {
      const refused = world.run({ finishEffect: { ...outcome, createAction } });
      assert.equal(refused.error?.code, ErrorCode.INVALID_ARGUMENT, `${createAction}`);
      assert.match(refused.error?.message ?? "", new RegExp(`create action ${createAction}`));
    }
    const done = world.run({ finishEffect: { ...outcome, createAction: v1.CreateAction.CREATED } });
    assert.equal(done.error, undefined);
    assert.equal(done.open?.handle?.createAction, v1.CreateAction.CREATED);
    assert.deepEqual(done.open?.handle?.createGuid, guid("g"));
  });
});
