import assert from "node:assert/strict";
import { exceptOwnPast, fenceCommand } from "../../src/node/fence-command.js";
import { memoryLog } from "../../src/runtime/index.js";
import { HoldfastError } from "../../src/wire/errors.js";

const fence = (command: readonly string[], timeoutMs = 5000) =>
  fenceCommand({ command, timeoutMs, log: memoryLog() });

async function refuses(why: RegExp, run: Promise<string>): Promise<void> {
  await assert.rejects(run, (error) => error instanceof HoldfastError && why.test(error.message));
}

describe("a fence command", () => {
  it("confirms with exit code 0, and learns which node and incarnation it is about", async () => {
    const said = await fence(["echo", "off: {node}/{incarnation}", "{node}"])("n2", 7);
    assert.equal(said, "echo: off: n2/7 n2");
    assert.equal(await fence(["true"])("n2", 7), "true: exit code 0");
  });

  it("passes its arguments on as they are: no shell reads them", async () => {
    assert.equal(await fence(["echo", "$HOME; {node}"])("a b", 1), "echo: $HOME; a b");
  });

  it("confirms nothing when it fails, dies, cannot be started or takes too long", async () => {
    await refuses(/exit code 3: no power/, fence(["sh", "-c", "echo no power >&2; exit 3"])("n2", 1));
    await refuses(/SIGTERM/, fence(["sh", "-c", "kill -TERM $$"])("n2", 1));
    await refuses(/ENOENT/, fence(["/nothing/there"])("n2", 1));
    await refuses(/no end within 50 ms/, fence(["sleep", "60"], 50)("n2", 1));
  });
});

describe("a fence command about the node that runs it", () => {
  it("spares the process that has taken the place of the one in question", async () => {
    let first = Infinity;
    const asked: string[] = [];
    const spared = exceptOwnPast(
      (node, incarnation) => {
        asked.push(`${node}/${incarnation}`);
        return Promise.resolve("killed");
      },
      { node: "n1", firstIncarnation: () => first },
    );
    assert.match(await spared("n1", 4), /ended before this process took the data folder/);
    first = 5;
    assert.match(await spared("n1", 4), /ended before/);
    assert.deepEqual(asked, []);
    // Its own: what it has in the kernel ends with it.
    assert.equal(await spared("n1", 5), "killed");
    assert.equal(await spared("n1", 6), "killed");
    assert.equal(await spared("n2", 1), "killed");
    assert.deepEqual(asked, ["n1/5", "n1/6", "n2/1"]);
  });
});
