import assert from "node:assert/strict";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { command } from "../chaos/command.js";
import { connect } from "../../src/client/index.js";
import { createDisk, type TestDisk } from "../chaos/disks.js";
import { TestCluster, until } from "./cluster.js";

/** Appends to the log of every node, as fast as sixteen callers of one client can, until it is over. */
async function fillLog(cluster: TestCluster, over: () => boolean): Promise<void> {
  const nodes = cluster.nodes.map((node) => node.grpc);
  const session = await connect({ nodes, deadlineMs: 60_000 });
  const handle = await session.open("demo:/locked", { disposition: "open-if" });
  const callers = Array.from({ length: 16 }, async (_, offset) => {
    while (!over()) {
      await handle.lock({ offset, length: 1 });
      await handle.unlock({ offset, length: 1 });
    }
  });
  await Promise.all(callers);
  await session.close();
}

describe("a disk that fails under a running node", function () {
  this.timeout(300_000);
  let cluster: TestCluster;
  const disks: TestDisk[] = [];
  const mounts: string[] = [];

  /** Mounts at a node's folder; skips where nothing can be mounted. */
  async function mounted(context: Mocha.Context, name: string, mount: () => Promise<void>): Promise<void> {
    const { config } = cluster.node(name);
    const text = readFileSync(config);
    try {
      await mount();
    } catch (error) {
      console.log(`      SKIPPED: no small file system can be mounted here: ${String(error)}`);
      context.skip();
    }
    writeFileSync(config, text);
  }

  afterEach(async () => {
    for (const disk of disks) await disk.thaw();
    await cluster?.destroy().catch(() => undefined);
    for (const mount of mounts.splice(0).reverse()) await command("umount", ["-l", mount]);
    for (const disk of disks.splice(0)) await disk.close();
    await cluster?.destroy();
  });

  it("ends the node with code 74 at the first sync that fails; the others go on", async function () {
    cluster = await TestCluster.create();
    const victim = cluster.node("n1");
    // A file with holes on a disk that is then used up: what is written into it is lost when it is synced.
    const below = await createDisk(cluster.folder, "below", 400);
    disks.push(below);
    await mounted(this, "n1", async () => {
      const image = join(below.mountPoint, "image");
      writeFileSync(image, "");
      truncateSync(image, 600 * 1024 * 1024);
      await command("mkfs.ext4", ["-q", "-E", "lazy_itable_init=1", image], 30_000);
      await command("mount", ["-o", "loop", image, victim.data]);
      mounts.push(victim.data);
    });
    cluster.startAll();
    await cluster.untilReady();
    await below.fill(0);
    // What lies on the disk already can be written again: the failure comes where the log needs new blocks.
    let over = false;
    const work = fillLog(cluster, () => over);
    const ended = until("the node has ended", 120_000, () => !cluster.isRunning("n1"));
    await Promise.race([work, ended]).finally(() => {
      over = true;
    });
    await work;
    const file = join(cluster.folder, "file");
    writeFileSync(file, "x");
    const { code, stderr } = await cluster.kill("n1");
    assert.equal(code, 74, stderr);
    assert.match(stderr, /^holdfast: the disk of data folder .* failed: .*Next: look at the disk/m);
    assert.equal((await cluster.cli("files", "put", file, "demo:/after")).code, 0);
    for (const name of ["n2", "n3"]) assert.ok(cluster.isRunning(name));
  });

  it("costs a leader its leadership while a write hangs, and nothing else", async function () {
    cluster = await TestCluster.create();
    for (const { name } of cluster.nodes)
      await mounted(this, name, async () => void disks.push(await createDisk(cluster.folder, name, 256)));
    cluster.startAll();
    await cluster.untilReady();
    const old = await cluster.leader();
    const at = cluster.nodes.findIndex((node) => node.name === old);
    await (disks[at] as TestDisk).freeze();
    const file = join(cluster.folder, "file");
    writeFileSync(file, "x");
    await until("another leads and work goes on", 90_000, async () => {
      const { code } = await cluster.cli("files", "put", file, "demo:/file");
      return code === 0 && (await cluster.leader()) !== old;
    });
    assert.ok(cluster.isRunning(old), "a disk that hangs says nothing; ending would help nobody");
    await (disks[at] as TestDisk).thaw();
    await cluster.untilReady();
    await until("the status is without errors", 60_000, async () => {
      const rows = await cluster.items<{ node: string; errors: string[] }>("status");
      assert.deepEqual(
        rows.flatMap((row) => row.errors),
        [],
      );
      return true;
    });
  });
});
