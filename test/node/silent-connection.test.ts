import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from "node:net";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { checkConfig } from "../../src/node/config.js";
import { GrpcServer } from "../../src/node/grpc-server.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { ERROR_DETAIL_TRAILER } from "../../src/wire/grpc-errors.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { services } from "../../src/wire/services.js";

/** A way to the server on which everything can be held back, as by a client that is busy with something else. */
class Valve {
  private constructor(private readonly server: Server) {}
  private readonly ends: Socket[] = [];
  private readonly kept: { readonly to: Socket; readonly bytes: Buffer }[] = [];
  private held = false;

  static async to(port: number): Promise<Valve> {
    const valve = new Valve(createServer());
    valve.server.on("connection", (near) => {
      const far = dial(port, "127.0.0.1");
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        valve.ends.push(from);
        from.on("data", (bytes) => {
          if (valve.held) valve.kept.push({ to, bytes });
          else to.write(bytes);
        });
        // That a connection has ended is told, held or not.
        from.on("close", () => to.destroy());
        from.on("error", () => undefined);
      }
    });
    valve.server.listen(0, "127.0.0.1");
    await once(valve.server, "listening");
    return valve;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  hold(): void {
    this.held = true;
  }

  release(): void {
    this.held = false;
    for (const { to, bytes } of this.kept.splice(0)) to.write(bytes);
  }

  close(): void {
    for (const end of this.ends) end.destroy();
    this.server.close();
  }
}

describe("a connection whose client is silent", () => {
  const opened: { close(): unknown }[] = [];

  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each.close();
  });

  /** A server whose handlers never answer, and a client of it behind a valve. */
  async function open(options: Record<string, number>) {
    const member = { name: "n1", raftId: 1, grpc: "127.0.0.1:0", http: "127.0.0.1:0" };
    const cluster = { id: "c", members: [member] };
    const server = new GrpcServer(checkConfig({ name: "n1", cluster, data: "d", options }, "/"));
    const definition = services.Coordinator;
    const silent = () => undefined;
    const handlers = Object.fromEntries(Object.keys(definition).map((method) => [method, silent]));
    server.add({ name: "Coordinator", definition, handlers });
    const port = await server.listen();
    opened.push({ close: () => server.close(0) });
    const valve = await Valve.to(port);
    opened.push(valve);
    const client = new Client(valve.address, credentials.createInsecure());
    opened.push(client);
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + 20_000, (error) => (error ? reject(error) : resolve()));
    });
    const bytes = (value: Buffer) => value;
    const call = (request: Buffer) =>
      new Promise<ServiceError>((resolve, reject) => {
        const path = "/holdfast.v1.Coordinator/Execute";
        client.makeUnaryRequest(path, bytes, bytes, request, (error) =>
          error === null ? reject(new Error("answered")) : resolve(error),
        );
      });
    return { valve, call };
  }

  it("may be silent for a while: the answer that it waits for is its own, not a lost connection", async () => {
    const { valve, call } = await open({ connectionSilenceMsMax: 60_000 });
    const refused = call(Buffer.alloc(limits.messageBytesMax + 2_000_000));
    valve.hold();
    // Longer than a probe and the second that a probe was once given.
    const until = performance.now() + 3_000;
    while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
    valve.release();
    const error = await refused;
    assert.equal(error.code, status.RESOURCE_EXHAUSTED, error.details);
    const [encoded] = error.metadata.get(ERROR_DETAIL_TRAILER);
    assert.equal(v1.ErrorDetail.decode(encoded as Buffer).code, ErrorCode.LIMIT_EXCEEDED);
  });

  it("is given up when a probe stays unanswered beyond the limit", async () => {
    const { valve, call } = await open({ connectionSilenceMsMax: 200 });
    const lost = call(Buffer.alloc(0));
    valve.hold();
    const error = await lost;
    assert.equal(error.code, status.UNAVAILABLE, error.details);
  });
});
