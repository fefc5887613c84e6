import assert from "node:assert/strict";
import { HealthChecks } from "../../src/node/health.js";
import { startHttpServer } from "../../src/node/http-server.js";

describe("health over HTTP", () => {
  it("keeps live and ready apart, names checks and leaves out what is excluded", async () => {
    const health = new HealthChecks();
    health.add("live", "loop", () => ({ ok: true, text: "2 ms" }));
    health.add("ready", "quorum", () => Promise.reject(new Error("no leader")));
    health.add("ready", "disk", () => ({ ok: true, text: "fine" }));
    const server = await startHttpServer("127.0.0.1:0", { health, metrics: () => Promise.resolve("m 1\n") });
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
      return [response.status, await response.text()] as const;
    };
    try {
      assert.deepEqual(await get("/livez"), [200, "ok\n"]);
      assert.deepEqual(await get("/livez?verbose"), [200, "[+]loop 2 ms\nlivez check passed\n"]);
      assert.deepEqual(await get("/readyz"), [
        503,
        "[-]quorum no leader\n[+]disk fine\nreadyz check failed\n",
      ]);
      assert.deepEqual(await get("/readyz?exclude=quorum"), [200, "ok\n"]);
      assert.deepEqual(await get("/metrics"), [200, "m 1\n"]);
      assert.equal((await get("/nothing"))[0], 404);
      assert.equal((await fetch(`http://127.0.0.1:${server.port}/livez`, { method: "POST" })).status, 405);
    } finally {
      await server.close();
    }
  });

  it("says in one line that a port is taken", async () => {
    const sources = { health: new HealthChecks(), metrics: () => Promise.resolve("") };
    const first = await startHttpServer("127.0.0.1:0", sources);
    try {
      await assert.rejects(startHttpServer(`127.0.0.1:${first.port}`, sources), /the port is taken/);
    } finally {
      await first.close();
    }
  });
});
