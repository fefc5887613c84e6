import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { filenodeMutants } from "../../../src/filenode/mutants.js";
import { PosixVfs } from "../../../src/filenode/vfs/posix-vfs.js";
import { ErrorCode } from "../../../src/wire/errors.js";
import type { v1 } from "../../../src/wire/index.js";
import { quiet, TestClient, type TestNode, World } from "../world.js";
import { FileJournal } from "./journal.js";
import { type Held, type Scenario, scenarios, type Tree, withoutEffect } from "./scenarios.js";

const OWNER = join(dirname(fileURLToPath(import.meta.url)), "owner.js");

interface Begun {
  readonly session: number;
  readonly token: string;
  readonly held: Held;
  readonly request: v1.IRequestId;
}

interface Ended {
  readonly points: readonly string[];
  readonly answer: unknown;
  readonly error?: string;
}

/** Runs the owner to its end or its death; answers what it said. */
function runOwner(
  folder: string,
  scenario: number,
  mode: "run" | "trace",
  crashAt: string,
): Promise<{ begun: Begun; ended: Ended | null; signal: string | null }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [OWNER, folder, String(scenario), mode], {
      env: { ...process.env, HOLDFAST_CRASH_AT: crashAt },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    child.stdout.on("data", (data: Buffer) => (out += data.toString()));
    child.stderr.on("data", (data: Buffer) => (err += data.toString()));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      const lines = out.split("\n").filter((line) => line !== "");
      if (lines[0] === undefined)
        return reject(new Error(`the owner said nothing (${code ?? signal}): ${err}`));
      const ended = lines[1] === undefined ? null : (JSON.parse(lines[1]) as Ended);
      resolve({ begun: JSON.parse(lines[0]) as Begun, ended, signal });
    });
  });
}

async function withFolder<T>(scenario: Scenario, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-crash-"));
  try {
    await mkdir(join(folder, "share"));
    for (const [path, content] of Object.entries(scenario.before)) {
      if (content === null) await mkdir(join(folder, "share", path));
      else await writeFile(join(folder, "share", path), content);
    }
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function readTree(root: string, path = "", into: Tree = {}): Promise<Tree> {
  for (const entry of await readdir(join(root, path), { withFileTypes: true })) {
    const child = path === "" ? entry.name : `${path}/${entry.name}`;
    if (child === ".holdfast") {
      const left = (await readdir(join(root, child))).filter((name) => !name.startsWith("canary"));
      for (const name of left) into[`.holdfast/${name}`] = "";
    } else if (entry.isDirectory()) {
      into[child] = null;
      await readTree(root, child, into);
    } else into[child] = await readFile(join(root, child), "utf8");
  }
  return into;
}

/** A peer takes over from the log and the share, the client comes back and says it all again. */
async function takeOver(folder: string, scenario: Scenario, begun: Begun): Promise<unknown> {
  const journal = new FileJournal(join(folder, "journal"));
  const world = new World(journal);
  for (const record of FileJournal.read(join(folder, "journal"))) world.coordinator.replay(record);
  const vfs = await PosixVfs.open(join(folder, "share"));
  try {
    const successor = await world.start("n2", { vfs });
    world.coordinator.apply({ nodeDown: { node: "n1", incarnation: 1, cause: "killed" } });
    const client = TestClient.make(1);
    client.info = { sessionId: begun.session, resumeToken: Buffer.from(begun.token, "hex") };
    await comeBack(client, successor);
    const answer = await replay(client, scenario, begun);
    await checkState(world, successor, scenario);
    return answer;
  } finally {
    await quiet();
    await vfs.close();
    journal.close();
  }
}

async function comeBack(client: TestClient, node: TestNode): Promise<void> {
  for (let tries = 0; ; tries++) {
    const response = await client.resume(node);
    if (!response.error) return;
    assert.ok(tries < 50, `not taken up: ${response.error.message}`);
    client.hangUp();
    await quiet();
  }
}

async function replay(client: TestClient, scenario: Scenario, begun: Begun): Promise<unknown> {
  let handle: v1.IHandleId | null = null;
  if (begun.held.handle !== "") {
    const persistent = Buffer.from(begun.held.handle, "hex");
    const open = { handle: { persistent, volatile: 0 } };
    const again = await client.ask({
      reconnect: {
        handleId: persistent,
        createGuid: guid(begun.held.path),
        persistent: true,
      },
    });
    handle = again.open?.handle ?? open.handle;
  }
  for (let tries = 0; ; tries++) {
    const response = await client.ask(scenario.request(handle), { request: begun.request, replay: true });
    if (!response.error) return scenario.answer(response);
    const { code, message } = response.error;
    assert.ok(code === ErrorCode.NOT_READY && tries < 20, `replay: ${ErrorCode[code ?? 0]}: ${message}`);
  }
}

function guid(path: string): Uint8Array {
  const made = new Uint8Array(16).fill(7);
  for (let i = 0; i < path.length; i++) made[i % 16] = ((made[i % 16] ?? 0) * 31 + path.charCodeAt(i)) & 255;
  return made;
}

async function checkState(world: World, node: TestNode, scenario: Scenario): Promise<void> {
  await quiet();
  await node.node.swept;
  const { state } = world.coordinator;
  assert.deepEqual([...state.effects()], [], "an effect is still pending");
  assert.deepEqual([...state.pending()], [], "a call is still parked");
  const open = [...state.handles()].filter((handle) => handle.state === 2);
  assert.ok(open.length <= 1, `${open.length} handles are open after ${scenario.name}`);
  assert.equal(node.node.core.writeGate.busy, 0);
}

describe("an owner that dies at any step of any operation", function () {
  this.timeout(120_000);
  const only = process.env["SCENARIO"];
  const passed = new Map<string, number>();

  for (const [number, scenario] of scenarios.entries()) {
    if (only !== undefined && !scenario.name.includes(only)) continue;
    it(`${scenario.name}: done exactly once, whatever the point`, async () => {
      const traced = await withFolder(scenario, async (folder) => {
        const { ended } = await runOwner(folder, number, "trace", "");
        assert.equal(ended?.error, undefined);
        assert.deepEqual(ended?.answer, scenario.answered, "undisturbed");
        assert.deepEqual(await readTree(join(folder, "share")), scenario.after, "undisturbed");
        return ended?.points ?? [];
      });
      const points = [...new Set(traced)];
      passed.set(scenario.name, points.length);
      for (const point of points) {
        await withFolder(scenario, async (folder) => {
          const { begun, signal } = await runOwner(folder, number, "run", point);
          assert.equal(signal, "SIGKILL", `${point} did not kill`);
          assert.deepEqual(
            await takeOver(folder, scenario, begun),
            scenario.answered,
            `answer after ${point}`,
          );
          assert.deepEqual(await readTree(join(folder, "share")), scenario.after, `tree after ${point}`);
        });
      }
    });
  }

  for (const [at, scenario] of withoutEffect.entries()) {
    it(`${scenario.name}: answered without a step at which its owner could die`, async () => {
      await withFolder(scenario, async (folder) => {
        const { ended } = await runOwner(folder, scenarios.length + at, "trace", "");
        assert.deepEqual(ended?.points, []);
        assert.deepEqual(ended.answer, scenario.answered);
        assert.deepEqual(await readTree(join(folder, "share")), scenario.after);
      });
    });
  }

  after(() => {
    if (process.env["CRASH_REPORT"] === undefined) return;
    let total = 0;
    for (const [name, points] of passed) {
      total += points;
      console.log(`${String(points).padStart(3)}  ${name}`);
    }
    console.log(`${total} crashes of ${passed.size} operations`);
  });

  it("is noticed when nobody resolves what it left", async () => {
    const number = scenarios.findIndex((scenario) =>
      scenario.name.startsWith("open SUPERSEDE of an existing"),
    );
    const scenario = scenarios[number];
    assert.ok(scenario);
    filenodeMutants.skipResolution = true;
    try {
      await withFolder(scenario, async (folder) => {
        const { begun } = await runOwner(folder, number, "run", "supersede.temp");
        await assert.rejects(takeOver(folder, scenario, begun));
      });
    } finally {
      filenodeMutants.skipResolution = false;
    }
  });
});
