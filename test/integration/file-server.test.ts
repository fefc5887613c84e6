import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePorts, TestCluster, until } from "./cluster.js";
import { Supervised } from "./supervised.js";

const source = fileURLToPath(new URL("../../../examples/kv-file-server.ts", import.meta.url));
const script = fileURLToPath(new URL("../../examples/kv-file-server.js", import.meta.url));

/** The worked example of docs/file-servers.md, run as it is described there: two servers on one folder, one is killed. */
describe("a file server that is not ours", function () {
  this.timeout(300_000);
  let cluster: TestCluster;
  const servers: Supervised[] = [];
  before(async () => {
    cluster = await TestCluster.start();
  });
  after(async () => {
    for (const server of servers) await server.kill();
    await cluster?.destroy();
  });

  const start = (name: string, incarnation: number, port: number, folder: string): Supervised => {
    const where = [String(port), folder, cluster.endpoints];
    const server = new Supervised(incarnation, (actual) => [script, name, String(actual), ...where]);
    servers.push(server);
    return server;
  };
  const add = async (port: number, request: number): Promise<{ value?: number; code?: string }> => {
    const url = `http://127.0.0.1:${port}/add?client=c&request=${request}&name=hits&by=1`;
    return (await (await fetch(url, { method: "POST" })).json()) as { value?: number; code?: string };
  };

  it("is short enough to be read", () => {
    const lines = readFileSync(source, "utf8").trimEnd().split("\n").length;
    assert(lines <= 150, `${lines} lines`);
  });

  it("adds each request once, though its servers and the leader die meanwhile", async () => {
    const folder = join(cluster.folder, "counters");
    mkdirSync(folder);
    const [portA, portB] = (await freePorts(2)) as [number, number];
    const first = start("kv-a", 1, portA, folder);
    start("kv-b", 1, portB, folder);
    await until("one of them serves", 60_000, async () => {
      for (const port of [portA, portB]) if ((await add(port, 1)).value === 1) return true;
      return false;
    });
    await until("all are well: a server that is not ours is no node to be asked", 60_000, async () => {
      const status = await cluster.cli("status");
      assert.equal(status.code, 0, `${status.stdout}${status.stderr}`);
      return true;
    });

    // Every request is sent until somebody answers it; each of these is a repeat of one that may have gone through.
    const untilAdded = (request: number): Promise<number> =>
      until(`request ${request} is answered`, 60_000, async () => {
        for (const port of [portA, portB]) {
          const answer: { value?: number } = await add(port, request).catch(() => ({}));
          if (answer.value !== undefined) return answer.value;
        }
        return undefined;
      });
    assert.equal(await untilAdded(1), 1, "a repeat gets the first answer");
    for (let request = 2; request <= 30; request++) {
      if (request === 8) await first.kill();
      if (request === 15) start("kv-a", 2, portA, folder);
      if (request === 20) await cluster.kill(await cluster.leader());
      const pending = untilAdded(request);
      if (request === 25) await servers[1]?.kill();
      assert.equal(await pending, request);
    }
    assert.equal(readFileSync(join(folder, "c.hits"), "utf8"), "30");
  });
});
