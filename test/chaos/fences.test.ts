import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command } from "./command.js";
import { fenceConfig, fenceOf } from "./fences.js";

describe("the fence of a chaos run", () => {
  it("is the one that was asked for, else one of the two that keep late writes out, drawn by the seed", () => {
    assert.equal(fenceOf("none", 1), "none");
    assert.equal(fenceOf("copies", 1), "copies");
    assert.throws(() => fenceOf("copy", 1), /FENCE=copy: copies, command or none/);
    const drawn = Array.from({ length: 40 }, (_, seed) =>
      fenceOf(seed % 2 === 0 ? undefined : "", seed >> 1),
    );
    assert.deepEqual([...new Set(drawn)].sort(), ["command", "copies"]);
    assert.equal(fenceOf(undefined, 7), fenceOf(undefined, 7));
  });
});

describe("the fence command of the chaos cluster", () => {
  let folder = "";
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-fence-"));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });

  /** A process that looks like a node's, and knows nothing else. */
  function startNode(name: string): { child: ChildProcess; ended: Promise<NodeJS.Signals | null> } {
    const wait = "process.stdin.on('data', () => {})";
    const child = spawn(process.execPath, ["-e", wait, "--", "--config", join(folder, `${name}.yaml`)], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    children.push(child);
    return { child, ended: new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal))) };
  }

  function fence(node: string): Promise<string> {
    const [program = "", ...args] = (fenceConfig("command", folder)["command"] as string[]).map((part) =>
      part.replace("{node}", node),
    );
    return command(program, args);
  }

  it("kills exactly the named node, stopped or not, and answers when it is gone", async () => {
    const [one, two] = [startNode("n1"), startNode("n2")];
    await writeFile(join(folder, "n1.pid"), String(one.child.pid));
    await writeFile(join(folder, "n2.pid"), String(two.child.pid));
    one.child.kill("SIGSTOP");
    assert.match(await fence("n1"), new RegExp(`killed process ${one.child.pid} of n1`));
    assert.equal(existsSync(`/proc/${one.child.pid}`), false);
    assert.equal(await one.ended, "SIGKILL");
    assert.equal(readFileSync(join(folder, "n1.fenced"), "utf8").trim(), String(one.child.pid));
    assert.equal(two.child.exitCode ?? two.child.signalCode, null);
  });

  it("confirms what does not run, and refuses a number that is not the node's", async () => {
    assert.match(await fence("n1"), /n1 does not run/);
    const stranger = startNode("n2");
    await writeFile(join(folder, "n1.pid"), String(stranger.child.pid));
    await assert.rejects(fence("n1"), /kill-node/);
    await writeFile(join(folder, "n1.pid"), "");
    await assert.rejects(fence("n1"), /kill-node/);
    assert.equal(stranger.child.exitCode ?? stranger.child.signalCode, null);
    assert.equal(existsSync(join(folder, "n1.fenced")), false);
  });
});
