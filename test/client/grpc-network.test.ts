import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server as TcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { GrpcClientNetwork } from "../../src/client/grpc-network.js";
import { connect } from "../../src/client/index.js";
import { realClock } from "../../src/runtime/index.js";
import { ErrorCode, HoldfastError } from "../../src/wire/errors.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { services } from "../../src/wire/services.js";
import { freePort } from "../transport/fixtures.js";

type FileStream = ServerDuplexStream<v1.FileRequest, v1.IFileResponse>;

/** A real gRPC server on loopback; `serve` gets every Session stream. */
async function serve(
  onStream: (stream: FileStream) => void,
  credentials = ServerCredentials.createInsecure(),
  wanted = 0,
): Promise<{ address: string; kill(): void }> {
  const server = new Server({ "grpc.max_receive_message_length": limits.messageBytesMax });
  server.addService(services.FileService, {
    session: (stream: FileStream) => {
      stream.on("error", () => undefined);
      onStream(stream);
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${wanted}`, credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { address: `127.0.0.1:${port}`, kill: () => server.forceShutdown() };
}

/** Answers every frame with `done`. */
const echo = (stream: FileStream) =>
  stream.on("data", (request: v1.FileRequest) => stream.write({ id: request.id, done: {} }));

class Received {
  readonly messages: v1.IFileResponse[] = [];
  readonly closed: string[] = [];
  #wake = () => {};
  onMessage = (message: v1.IFileResponse) => {
    this.messages.push(message);
    this.#wake();
  };
  onClosed = (reason: string) => {
    this.closed.push(reason);
    this.#wake();
  };
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

describe("client: gRPC network", () => {
  const network = new GrpcClientNetwork(realClock);
  const cleanUp: (() => void)[] = [];
  after(() => network.close());
  afterEach(() => {
    for (const run of cleanUp.splice(0)) run();
  });
  const started = async (onStream: (stream: FileStream) => void) => {
    const server = await serve(onStream);
    cleanUp.push(() => server.kill());
    return server;
  };
  const codeOf = (promise: Promise<unknown>) =>
    promise.then(
      () => assert.fail("it should have failed"),
      (error: HoldfastError) => error.code,
    );

  it("carries messages both ways, up to the largest", async () => {
    const { address } = await started(echo);
    const received = new Received();
    const stream = await network.openFileStream(address, 2_000, received);
    stream.send({ id: 1, ping: {} });
    stream.send({ id: 2, write: { data: new Uint8Array(limits.chunkBytesMax) } });
    await received.until(() => received.messages.length === 2);
    assert.deepEqual(
      received.messages.map((message) => message.id),
      [1, 2],
    );
    stream.close();
    assert.deepEqual(received.closed.length <= 1, true);
  });

  it("rejects at once when nobody listens, and connects as soon as somebody does", async () => {
    // The quickest of some: a pause after the failure before would be in all of them, other processes are not.
    let quickestMs = Infinity;
    for (let i = 0; i < 5; i++) {
      const port = await freePort();
      const address = `127.0.0.1:${port}`;
      // A refusal does not wait for the deadline, which is beyond that of this test.
      assert.equal(
        await codeOf(network.openFileStream(address, 60_000, new Received())),
        ErrorCode.NOT_READY,
      );
      // The same port: no backoff of an earlier failure may be in the way.
      const server = await serve(echo, undefined, port);
      cleanUp.push(() => server.kill());
      const begin = realClock.monotonicMs();
      await network.openFileStream(address, 15_000, new Received());
      quickestMs = Math.min(quickestMs, realClock.monotonicMs() - begin);
    }
    assert.ok(quickestMs < 500, `took ${quickestMs} ms at least`);
  });

  it("gives up a listener that accepts and says nothing, at the dial's deadline", async () => {
    const sockets = new Set<Socket>();
    const mute: TcpServer = createServer((socket) => {
      socket.on("error", () => undefined);
      sockets.add(socket);
    });
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", () => resolve()));
    cleanUp.push(() => {
      for (const socket of sockets) socket.destroy();
      mute.close();
    });
    const { port } = mute.address() as { port: number };
    const code = await codeOf(network.openFileStream(`127.0.0.1:${port}`, 300, new Received()));
    assert.equal(code, ErrorCode.DEADLINE_EXCEEDED);
  });

  it("tells once that the node is gone", async () => {
    const server = await started(echo);
    const received = new Received();
    const stream = await network.openFileStream(server.address, 2_000, received);
    stream.send({ id: 1, ping: {} });
    await received.until(() => received.messages.length === 1);
    server.kill();
    await received.until(() => received.closed.length > 0);
    assert.equal(received.closed.length, 1);
    assert.match(received.closed[0] ?? "", new RegExp(server.address.replace(".", "\\.")));
  });

  it("goes on over another connection after a silent one", async () => {
    const { address } = await started(echo);
    const first = await network.openFileStream(address, 2_000, new Received());
    first.close(true);
    const received = new Received();
    const second = await network.openFileStream(address, 2_000, received);
    second.send({ id: 5, ping: {} });
    await received.until(() => received.messages.length === 1);
  });

  it("connect names the node and the reason when there is no cluster", async () => {
    const gone = await serve(echo);
    gone.kill();
    await assert.rejects(
      connect({ nodes: [gone.address], deadlineMs: 300, witness: false }),
      (error: HoldfastError) =>
        error.message.includes(gone.address) && /refused|unreachable/.test(error.message),
    );
  });

  it("opens and closes a session over a real connection", async () => {
    const seen: string[] = [];
    const { address } = await started((stream) =>
      stream.on("data", (request: v1.FileRequest) => {
        seen.push(request.body ?? "");
        const session = { sessionId: 9, slots: 4, owner: { node: "n1", grpcAddress: address } };
        stream.write(request.attach ? { id: request.id, session } : { id: request.id, done: {} });
      }),
    );
    const session = await connect({ nodes: [address], witness: false });
    assert.equal(session.id, 9);
    assert.equal(session.owner, "n1");
    await session.close();
    assert.deepEqual(
      seen.filter((kind) => kind !== "ping"),
      ["attach", "closeSession"],
    );
  });

  it("opens a session over TLS, and not with a node that nobody vouches for", async function () {
    if (spawnSync("openssl", ["version"]).status !== 0) this.skip();
    const folder = mkdtempSync(join(tmpdir(), "holdfast-tls-"));
    cleanUp.push(() => rmSync(folder, { recursive: true }));
    const [keyFile, certFile] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    execFileSync(
      "openssl",
      [
        ...[
          "req",
          "-x509",
          "-newkey",
          "ec",
          "-pkeyopt",
          "ec_paramgen_curve:prime256v1",
          "-nodes",
          "-days",
          "2",
        ],
        ...[
          "-subj",
          "/CN=n1",
          "-addext",
          "subjectAltName=IP:127.0.0.1",
          "-keyout",
          keyFile,
          "-out",
          certFile,
        ],
      ],
      { stdio: "ignore" },
    );
    const [key, cert] = [readFileSync(keyFile), readFileSync(certFile)];
    const server = await serve(
      (stream) =>
        stream.on("data", (request: v1.FileRequest) =>
          stream.write({
            id: request.id,
            ...(request.attach ? { session: { sessionId: 3 } } : { done: {} }),
          }),
        ),
      ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: cert }]),
    );
    cleanUp.push(() => server.kill());
    const session = await connect({ nodes: [server.address], witness: false, tls: { ca: cert } });
    assert.equal(session.id, 3);
    await session.close();
    for (const tls of [undefined, {}])
      await assert.rejects(
        connect({ nodes: [server.address], witness: false, deadlineMs: 300, ...(tls ? { tls } : {}) }),
      );
    await assert.rejects(
      connect({ nodes: [server.address], tls: { ca: cert, key } }),
      (error: HoldfastError) => error.code === ErrorCode.INVALID_ARGUMENT,
    );
  });
});
