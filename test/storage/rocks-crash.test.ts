import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRocks } from "../../src/storage/rocks-kv.js";
import { opened, stateOf } from "./fixtures.js";

const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

const PRELUDE = `
import { openRocks } from ${url("../../src/storage/rocks-kv.js")};
import { batch, change, conf, entry, opened, settled } from ${url("./fixtures.js")};
`;

/** Runs a script as a process of its own, through a shell that sets limits first. */
function run(script: string, limits = "true") {
  const shell = `${limits}; exec "$0" "$@"`;
  return spawn("bash", ["-c", shell, process.execPath, "--input-type=module", "-e", PRELUDE + script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

async function linesOf(child: ReturnType<typeof run>, onLine: (line: string) => void): Promise<void> {
  let rest = "";
  child.stdout.on("data", (chunk) => {
    const parts = (rest + String(chunk)).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) onLine(part);
  });
  await new Promise((resolve) => child.once("close", resolve));
}

describe("node storage on RocksDB, for real", function () {
  // Seven processes and thousands of synced batches, on a disk that other tests use at the same time.
  this.timeout(60_000);
  const folders: string[] = [];
  const folder = () => {
    const made = mkdtempSync(join(tmpdir(), "holdfast-crash-"));
    folders.push(made);
    return made;
  };
  after(() => {
    for (const made of folders) rmSync(made, { recursive: true, force: true });
  });

  it("keeps all that it acknowledged when the process is killed in full flight, five times over", async () => {
    const path = join(folder(), "db");
    let acknowledged = 0;
    for (let round = 0; round < 5; round++) {
      const child = run(
        `
        const { storage, durable } = await opened(await openRocks(process.env.DB));
        let index = durable.snapshotIndex + durable.entries.length;
        let applied = storage.applied.index;
        let seq = 0;
        const turn = () => {
          const entries = Array.from({ length: 1 + (index % 7) }, () => entry(++index, 1, "x".repeat(300)));
          const last = index;
          storage.persist(batch(++seq, { hardState: { term: 1, vote: 1, commit: applied }, entries }), (error) => {
            if (error) throw error;
            process.stdout.write(last + "\\n");
            turn();
          });
          if (applied < last - 20) {
            applied = last - 20;
            storage.writeState([change("at", String(applied))], { index: applied, term: 1, confState: conf(1) }, () => {});
            if (applied % 500 < 7) storage.compactLog(applied - 10, 1);
          }
        };
        for (let i = 0; i < 4; i++) turn();
      `.replaceAll("process.env.DB", JSON.stringify(path)),
      );
      const target = acknowledged + 400;
      await linesOf(child, (line) => {
        acknowledged = Math.max(acknowledged, Number(line));
        if (acknowledged >= target) child.kill("SIGKILL");
      });
      const { storage, durable } = await opened(await openRocks(path));
      const last = durable.snapshotIndex + durable.entries.length;
      assert(last >= acknowledged, `acknowledged ${acknowledged}, found ${last}`);
      const state = await stateOf(storage);
      if (storage.applied.index > 0) assert.equal(state["at"], String(storage.applied.index));
      acknowledged = last;
      await storage.close();
    }
    assert(acknowledged >= 2000);
  });

  it("latches at the first write that the disk refuses, and finds what it acknowledged afterwards", async () => {
    const path = join(folder(), "db");
    // No file may grow beyond 200 KB: the write-ahead log hits that as it would hit the end of the disk.
    const child = run(
      `
        const { storage } = await opened(await openRocks(${JSON.stringify(path)}));
        let told = "";
        storage.onFailure((error) => (told = error.codeName));
        let durable = 0;
        for (let index = 1; index < 10_000; index++) {
          try {
            await settled((done) => storage.persist(batch(index, { entries: [entry(index, 1, "x".repeat(1000))] }), done));
            durable = index;
          } catch (error) {
            const later = await settled((done) =>
              storage.persist(batch(index + 1, { entries: [entry(index + 1)] }), done),
            ).then(() => "accepted", (e) => e.codeName);
            console.log(JSON.stringify({ durable, code: error.codeName, told, later, next: error.extras.next }));
            process.exit(0);
          }
        }
      `,
      "trap '' XFSZ; ulimit -f 200",
    );
    let said = "";
    await linesOf(child, (line) => (said += line));
    const { durable, code, told, later, next } = JSON.parse(said) as Record<string, string | number>;
    assert.equal(code, "STORAGE_FAILED");
    assert.equal(told, "STORAGE_FAILED");
    assert.equal(later, "STORAGE_FAILED");
    assert(next);
    assert(Number(durable) > 50);
    const { storage, durable: found } = await opened(await openRocks(path));
    assert(found.entries.length >= Number(durable), `acknowledged ${durable}, found ${found.entries.length}`);
    await storage.close();
  });
});
