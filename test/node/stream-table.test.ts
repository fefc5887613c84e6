import assert from "node:assert/strict";
import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { types } from "node:util";
import fc from "fast-check";
import { StreamTable, useStreamTables } from "../../src/node/stream-table.js";

const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

describe("table of a connection's streams", () => {
  it("does what a Map does, whatever comes and goes", () => {
    const id = fc.nat(400);
    const step = fc.oneof(
      fc.record({ kind: fc.constant("set" as const), id }),
      fc.record({ kind: fc.constant("delete" as const), id }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const table = new StreamTable();
        const map = new Map<number, object>();
        for (const { kind, id } of steps) {
          const stream = { id };
          if (kind === "set") {
            assert.equal(table.set(id, stream), table);
            map.set(id, stream);
          } else assert.equal(table.delete(id), map.delete(id));
          assert.equal(table.size, map.size);
          assert.equal(table.get(id), map.get(id));
          assert.equal(table.has(id), map.has(id));
        }
        const seen = new Map<number, object>();
        table.forEach((stream, id) => seen.set(id, stream));
        assert.deepEqual([...seen].sort(byId), [...map].sort(byId));
      }),
      { seed: SEED },
    );
  });

  it("shows each stream to a callback that closes them", () => {
    const table = new StreamTable();
    for (let id = 1; id < 1_000; id += 2) table.set(id, { id });
    const seen: number[] = [];
    table.forEach((_, id) => {
      seen.push(id);
      table.delete(id);
    });
    assert.equal(seen.length, 500);
    assert.equal(table.size, 0);
  });
});

describe("node:http2 with that table", () => {
  let server: Http2Server;
  let client: ClientHttp2Session;
  let session: ServerHttp2Session;
  let open: ServerHttp2Stream[];

  async function start(version?: string): Promise<void> {
    open = [];
    server = createServer();
    useStreamTables(server, version);
    server.on("session", (each) => (session = each));
    server.on("stream", (stream) => {
      stream.on("error", () => {});
      open.push(stream);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    client.on("error", () => {});
  }

  afterEach(() => {
    client.destroy();
    server.close();
  });

  function table(): unknown {
    const own = session as unknown as Record<symbol, { streams: unknown }>;
    const symbol = Object.getOwnPropertySymbols(session).find((each) => each.description === "state");
    return own[symbol as symbol]?.streams;
  }

  async function ask(count: number): Promise<Promise<string>[]> {
    const answers = Array.from({ length: count }, () => {
      const request = client.request({ ":path": "/" });
      return new Promise<string>((resolve) => {
        let text = "";
        request.on("data", (part: Buffer) => (text += part.toString()));
        request.on("close", () => resolve(request.rstCode === 0 ? text : `reset ${request.rstCode}`));
        request.on("error", () => {});
        request.end();
      });
    });
    while (open.length < count) await once(server, "stream");
    return answers;
  }

  const node20 = process.versions.node.startsWith("20.") ? it : it.skip;

  node20("answers many at once, and forgets each", async () => {
    await start();
    for (let round = 1; round <= 20; round++) {
      open = [];
      const answers = await ask(50);
      assert.ok(table() instanceof StreamTable);
      assert.equal((table() as StreamTable).size, 50);
      for (const stream of open.toReversed()) stream.end(`answer in round ${round}`);
      for (const answer of answers) assert.equal(await answer, `answer in round ${round}`);
    }
    while ((table() as StreamTable).size > 0) await new Promise((resume) => setImmediate(resume));
  });

  node20("ends the open ones with their connection", async () => {
    await start();
    const answers = await ask(30);
    const closed = open.map((stream) => once(stream, "close"));
    session.destroy();
    await Promise.all([...closed, ...answers]);
    assert.equal((table() as StreamTable).size, 0);
  });

  node20("lets the open ones end before a connection that is closed in order", async () => {
    await start();
    const answers = await ask(30);
    const ended = once(session, "close");
    session.close();
    for (const stream of open) stream.end("done");
    for (const answer of answers) assert.equal(await answer, "done");
    await ended;
  });

  it("leaves a version of Node alone that was not tried", async () => {
    await start("99.0.0");
    const answers = await ask(3);
    assert.ok(types.isMap(table()));
    for (const stream of open) stream.end("done");
    for (const answer of answers) assert.equal(await answer, "done");
  });
});

function byId([a]: [number, object], [b]: [number, object]): number {
  return a - b;
}
