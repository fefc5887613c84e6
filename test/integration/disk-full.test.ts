import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, ErrorCode, HoldfastError, type Handle, type Session } from "../../src/client/index.js";
import { createDisk, type TestDisk } from "../chaos/disks.js";
import { TestCluster, until } from "./cluster.js";

/** What fails without waiting ends long before this; what waits for room would go on until then, and end with 124. */
const WAITS = ["--timeout", "30m"];

describe("a full disk", function () {
  this.timeout(300_000);
  let cluster: TestCluster;
  let session: Session | undefined;
  const disks: TestDisk[] = [];
  const scratch = mkdtempSync(join(tmpdir(), "holdfast-put-"));
  const local = join(scratch, "local");

  async function smallDisk(name: string, megabytes: number): Promise<TestDisk> {
    const disk = await createDisk(cluster.folder, name, megabytes);
    disks.push(disk);
    return disk;
  }

  /** A cluster with small disks at the folders that are named; skips where none can be mounted. */
  async function started(context: Mocha.Context, folders: readonly string[]): Promise<void> {
    cluster = await TestCluster.create();
    for (const node of cluster.nodes) copyFileSync(node.config, join(scratch, `${node.name}.yaml`));
    try {
      for (const name of folders) await smallDisk(name, name === "share" ? 24 : 256);
    } catch (error) {
      console.log(`      SKIPPED: no small file system can be mounted here: ${String(error)}`);
      context.skip();
    }
    for (const node of cluster.nodes) copyFileSync(join(scratch, `${node.name}.yaml`), node.config);
    cluster.startAll();
    await cluster.untilReady();
  }

  async function put(bytes: number, name: string): Promise<{ code: number; said: string }> {
    writeFileSync(local, "");
    truncateSync(local, bytes);
    const { code, stderr } = await cluster.cli(...WAITS, "files", "put", local, `demo:/${name}`);
    return { code: code ?? -1, said: stderr };
  }

  function noneEnded(): void {
    for (const node of cluster.nodes) assert.ok(cluster.isRunning(node.name), `${node.name} goes on`);
  }

  afterEach(async () => {
    await session?.close({ deadlineMs: 1_000 }).catch(() => undefined);
    session = undefined;
    await cluster?.destroy().catch(() => undefined);
    for (const disk of disks.splice(0)) await disk.close();
    await cluster?.destroy();
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  it("of every node: refused at once what needs room, closing and unlocking go on, and it ends by itself", async function () {
    await started(this, ["n1", "n2", "n3"]);
    session = await connect({
      nodes: cluster.nodes.map((node) => node.grpc),
      deadlineMs: 60_000,
      witness: false,
    });
    const handles: Handle[] = [];
    for (let i = 0; i < 4; i++)
      handles.push(await session.open(`demo:/kept-${i}`, { disposition: "open-if" }));
    const [first, second, third, fourth] = handles as [Handle, Handle, Handle, Handle];
    await first.lock({ offset: 0, length: 1 });
    // Work goes on while all three disks are used up to the last block, faster than anybody could look.
    let refused: HoldfastError | null = null;
    let over = false;
    const work = (async () => {
      while (!over) {
        try {
          await second.lock({ offset: 0, length: 1 });
          await second.unlock({ offset: 0, length: 1 });
        } catch (error) {
          if (!(error instanceof HoldfastError) || error.code !== ErrorCode.DISK_FULL) throw error;
          refused = error;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    })();
    await Promise.all(disks.map((disk) => disk.fill(0)));
    await until("a lock is refused for lack of room", 60_000, () => refused !== null);
    const full = await put(10, "none");
    assert.equal(full.code, 1);
    assert.match(full.said, /DISK_FULL.*Next: /s);
    // Closing and unlocking live on what was set aside.
    await first.unlock({ offset: 0, length: 1 }, { deadlineMs: 60_000 });
    await third.close({ deadlineMs: 60_000 });
    noneEnded();
    await until("the status says why", 60_000, async () => {
      const rows = await cluster.items<{ errors: string[] }>("status");
      assert.match(JSON.stringify(rows), /the disk is nearly full/);
      return true;
    });
    over = true;
    await work;

    await Promise.all(disks.map((disk) => disk.unfill()));
    await until("there is room again", 60_000, async () => (await put(10, "again")).code === 0);
    await fourth.lock({ offset: 0, length: 1 }, { deadlineMs: 60_000 });
    await session.close();
    noneEnded();
  });

  it("of the share: told at once, nothing of it stays, and it ends by itself", async function () {
    await started(this, ["share"]);
    assert.equal((await put(1024, "before")).code, 0);
    const share = disks[0] as TestDisk;
    await share.fill(0);
    const { code, said } = await put(3 * 1024 * 1024, "too-much");
    assert.equal(code, 1);
    assert.match(said, /DISK_FULL/);
    await share.unfill();
    const after = await put(3 * 1024 * 1024, "too-much");
    assert.equal(after.code, 0, after.said);
    noneEnded();
  });
});
