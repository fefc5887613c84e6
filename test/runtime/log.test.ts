import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLog } from "../../src/runtime/log.js";

const LOG_MODULE = JSON.stringify(new URL("../../src/runtime/log.js", import.meta.url).href);

/** Runs a script in a process of its own whose stdout is a pipe. */
function run(script: string) {
  return spawn(
    process.execPath,
    ["--input-type=module", "-e", `import { openLog } from ${LOG_MODULE};\n${script}`],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
}

function exitOf(child: ReturnType<typeof run>): Promise<number | null> {
  return new Promise((resolve) => child.once("exit", (code) => resolve(code)));
}

function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    stream.on("data", (chunk) => (text += String(chunk)));
    stream.on("end", () => resolve(text));
  });
}

describe("log", () => {
  it("writes one JSON object a line, with base fields and those of children", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-log-"));
    try {
      const file = join(folder, "node.log");
      const log = openLog({ level: "info", target: { file }, base: { node: "n1" } });
      log.debug({}, "not at this level");
      log.info({ term: 3 }, "elected");
      log.child({ peer: "n2" }).warn({ reason: "gone\nfor good" }, "link down");
      await log.flush();
      log.close();
      const lines = readFileSync(file, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      assert.deepEqual(
        lines.map(({ level, node, term, peer, reason, msg }) => ({ level, node, term, peer, reason, msg })),
        [
          { level: "info", node: "n1", term: 3, peer: undefined, reason: undefined, msg: "elected" },
          {
            level: "warn",
            node: "n1",
            term: undefined,
            peer: "n2",
            reason: "gone\nfor good",
            msg: "link down",
          },
        ],
      );
      assert(lines.every(({ time }) => !Number.isNaN(Date.parse(time))));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("does not block, does not grow and does exit when nobody reads its pipe; it counts what it drops", async () => {
    const child = run(`
      const log = openLog({ level: "info", target: 1, bytesMax: 65536 });
      let turns = 0;
      for (let round = 0; round < 100; round++) {
        for (let i = 0; i < 200; i++) log.info({ round, i, filler: "x".repeat(100) }, "line");
        await new Promise((resolve) => setImmediate(resolve));
        turns++;
      }
      console.error(JSON.stringify({ turns, dropped: log.droppedLines(), heap: process.memoryUsage().heapUsed }));
      log.close();
      process.exit(0);
    `);
    // Nobody reads stdout: the pipe fills up and stays full, and whoever waits for room in it never ends.
    const report = textOf(child.stderr);
    assert.equal(await exitOf(child), 0);
    const { turns, dropped } = JSON.parse(await report) as { turns: number; dropped: number };
    assert.equal(turns, 100);
    assert(dropped > 10_000 && dropped < 20_000, `dropped ${dropped} of 20000`);
    child.stdout.destroy();
  });

  it("goes on when the reader comes back, with whole lines", async () => {
    const child = run(`
      const log = openLog({ level: "info", target: 1, bytesMax: 65536 });
      for (let i = 0; i < 5000; i++) log.info({ i }, "early");
      console.error("full");
      process.on("message", () => {});
      let i = 0;
      const timer = setInterval(async () => {
        log.info({ i: i++ }, "late");
        if (i < 30) return;
        clearInterval(timer);
        await log.flush();
        log.close();
      }, 10);
    `);
    await new Promise((resolve) => child.stderr.once("data", resolve));
    const text = textOf(child.stdout);
    assert.equal(await exitOf(child), 0);
    const lines = (await text)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { msg: string });
    assert(lines.some(({ msg }) => msg === "early"));
    assert(lines.some(({ msg }) => msg === "late"));
  });

  it("survives a reader that goes away", async () => {
    const child = run(`
      const log = openLog({ level: "info", target: 1 });
      let i = 0;
      const timer = setInterval(() => {
        log.info({ i: i++ }, "line");
        if (i === 50) { clearInterval(timer); log.close(); console.error("alive"); }
      }, 2);
    `);
    child.stdout.destroy();
    const report = textOf(child.stderr);
    assert.equal(await exitOf(child), 0);
    assert.match(await report, /alive/);
  });
});
