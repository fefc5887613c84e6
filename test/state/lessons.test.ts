import assert from "node:assert/strict";
import { v1 } from "../../src/wire/index.js";
import { World } from "./harness.js";

const { ErrorCode, Disposition } = v1;

describe("lesson L43: a session that is gone keeps its fence", () => {
  const request = { slot: 0, sequence: 1 };

  it("a repeat of what it had answered is refused and never executed again, after a restart too", () => {
    const world = new World();
    const client = world.client("a");
    const command = world.openCommand(client, { path: "new", disposition: Disposition.CREATE, request });
    world.perform(world.ok(command));
    const fence = command.openHandle?.fence;
    world.ok({ closeSession: { fence: fence ?? null, request: { slot: 1, sequence: 1 } } });
    const digest = world.machine.digest();
    world.refused(command, ErrorCode.UNKNOWN_SESSION);
    assert.equal(world.machine.digest(), digest);
    world.restart();
    world.refused(command, ErrorCode.UNKNOWN_SESSION);
    assert.equal(world.machine.digest(), digest);
  });

  it("no later session gets its id, so nothing of it can ever be taken for another's", () => {
    const world = new World();
    const seen = new Set<number>();
    for (const name of ["a", "b", "c"]) {
      const client = world.client(name);
      const fence = world.openCommand(client, { path: "f" }).openHandle?.fence;
      const id = Number(fence?.sessionId);
      assert.ok(!seen.has(id), `session id ${id} twice`);
      seen.add(id);
      world.ok({ closeSession: { fence: fence ?? null, request } });
    }
  });
});
