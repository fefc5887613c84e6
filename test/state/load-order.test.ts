import assert from "node:assert/strict";
import { createStateMachine, type StateMachine } from "../../src/state/index.js";
import { v1 } from "../../src/wire/index.js";
import { DELETE, effectOf, isParked, READ, RH, World } from "./harness.js";

/**
 * A member that is loaded from its disk before each command beside one that never is: its indexes hold rows in the order
 * of their ids, the other's in the order in which they came. Both have to do the same, to the last bit.
 */
class Twins extends World {
  override run(command: v1.ICommand): v1.ICommandResult {
    const twin = this.loaded();
    const result = super.run(command);
    const decoded = v1.Command.decode(v1.Command.encode(command).finish());
    const other = twin.apply(decoded, { index: this.index, clusterTimeMs: this.nowMs });
    assert.equal(text(other.result), text(result));
    assert.deepEqual(other.events, this.events);
    assert.equal(twin.digest(), this.machine.digest(), `digests after ${Object.keys(command).join()}`);
    return result;
  }

  private loaded(): StateMachine {
    this.flush();
    const machine = createStateMachine();
    const records = [...this.disk].sort(([a], [b]) => (a < b ? -1 : 1));
    machine.load(records.map(([key, value]) => ({ key: Buffer.from(key, "latin1"), value })));
    machine.finishLoad();
    return machine;
  }
}

function text(result: v1.ICommandResult): string {
  return Buffer.from(v1.CommandResult.encode(result).finish()).toString("hex");
}

describe("state: nothing depends on the order of an index", () => {
  // Found by the simulator, cluster seed 216: a stored answer named the handles of a lease in another order after a restart.
  it("the handles of a lease, in a stored answer", () => {
    const world = new Twins();
    const a = world.client("a");
    world.file("file");
    for (const id of ["z", "y", "x"])
      world.opened(a, {
        id,
        guid: id,
        leaseKey: "k",
        lease: RH,
        request: { slot: 1, sequence: world.index },
      });
  });

  it("the leases that a rename onto an open file waits for", () => {
    const world = new Twins();
    world.file("file");
    world.file("target");
    const [a, b, c] = [world.client("a"), world.client("b"), world.client("c")];
    world.opened(b, { id: "z", path: "target", access: READ, leaseKey: "k", lease: RH });
    world.opened(c, { id: "y", path: "target", access: READ, leaseKey: "l", lease: RH });
    const open = world.opened(a, { access: DELETE | READ });
    const effect = {
      kind: v1.EffectKind.EFFECT_RENAME,
      handleId: open.id ?? null,
      targetPath: "target",
      targetFileId: world.files.get("ca:target")?.id ?? "",
      replace: true,
    };
    const result = world.run({ beginEffect: { fence: world.fence(a), effect } });
    assert.ok(isParked(result) && effectOf(result) === null);
  });

  it("the handle that is found by its create guid alone", () => {
    const world = new Twins();
    world.file("file");
    const [a, b] = [world.client("a", "n1", { principal: "p" }), world.client("b", "n1", { principal: "p" })];
    world.opened(a, { id: "z", guid: "g" });
    world.opened(b, { id: "y", guid: "g" });
    world.disconnect(a);
    const c = world.client("c", "n1", { principal: "p" });
    world.run(world.openCommand(c, { id: "x", guid: "g", replay: true }));
  });
});
