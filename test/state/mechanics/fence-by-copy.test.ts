import { v1 } from "../../../src/wire/index.js";
import { type Client, World } from "../harness.js";

const FENCING = { labels: { fence: "copy-on-takeover" } };

/** Alice's session, with a file open for writing, is being taken over by a node that continues on copies. */
function takenOver(prepare: (world: World) => void = () => {}): {
  world: World;
  alice: Client;
  fileId: string;
} {
  const world = new World({ nodes: ["n1"] });
  const alice = world.client("alice");
  const { fileId } = world.opened(alice, { path: "f" });
  world.register("n2", 1, FENCING);
  prepare(world);
  world.kill("n1");
  return { world, alice, fileId: fileId ?? "" };
}

function copy(world: World, alice: Client, fileId: string): v1.ICommand {
  const effect = { kind: v1.EffectKind.EFFECT_FENCE, share: "ca", path: "f", fileId, sizeBefore: 1 };
  return { beginEffect: { fence: world.fence(alice), effect } };
}

describe("the fence that continues on a copy, in the state", () => {
  it("is announced while the session is taken over, and keeps it closed until it has an end", () => {
    const { world, alice, fileId } = takenOver();
    const { effect } = world.ok(copy(world, alice, fileId));
    const done = { takeoverDone: { fence: world.fence(alice) } };
    world.refused(done, v1.ErrorCode.PRECONDITION_FAILED);
    world.finish(effect?.effect ?? {});
    world.ok(done);
  });

  it("is refused when it comes after the session was opened again", () => {
    const { world, alice, fileId } = takenOver();
    world.ok({ takeoverDone: { fence: world.fence(alice) } });
    world.refused(copy(world, alice, fileId), v1.ErrorCode.PRECONDITION_FAILED);
  });

  it("is refused while another session of the same node has the file open", () => {
    const { world, alice, fileId } = takenOver((before) => {
      const bob = before.client("bob", "n2");
      before.opened(bob, { path: "f" });
    });
    world.refused(copy(world, alice, fileId), v1.ErrorCode.SHARING_VIOLATION);
  });
});
