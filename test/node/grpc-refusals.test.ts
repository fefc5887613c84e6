import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { gzipSync } from "node:zlib";
import { status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { checkConfig } from "../../src/node/config.js";
import { GrpcServer } from "../../src/node/grpc-server.js";
import { ErrorCode } from "../../src/wire/errors.js";
import { ERROR_DETAIL_TRAILER } from "../../src/wire/grpc-errors.js";
import { v1 } from "../../src/wire/index.js";
import { limits } from "../../src/wire/limits.js";
import { services } from "../../src/wire/services.js";

const UNARY = "/holdfast.v1.Coordinator/Execute";
const STREAM = "/holdfast.v1.Coordinator/Stream";
const PEERS = "/holdfast.v1.Peer/Link";

/** One gRPC message on the wire: compressed or not, its length, its bytes. */
function message(bytes: Uint8Array, compressed = false): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed ? 1 : 0, 0);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** The head of a message that never comes: refused by its length alone. */
function announced(length: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 1);
  return head;
}

const NOT_PROTOBUF = message(Buffer.from([0x0a, 0x7f, 0x01]));

describe("what the gRPC library refuses by itself", () => {
  let server: GrpcServer;
  let session: ClientHttp2Session;

  before(async () => {
    const member = { name: "n1", raftId: 1, grpc: "127.0.0.1:0", http: "127.0.0.1:0" };
    const config = checkConfig({ name: "n1", cluster: { id: "c", members: [member] }, data: "d" }, "/");
    server = new GrpcServer(config);
    // Handlers that never answer: whatever does, it is not they.
    const silent = (call: { resume?(): void; on?(event: string, listener: () => void): void }) => {
      call.on?.("error", () => undefined);
      call.resume?.();
    };
    for (const name of ["Coordinator", "Peer"] as const) {
      const definition = services[name];
      const handlers = Object.fromEntries(Object.keys(definition).map((method) => [method, silent]));
      server.add({ name, definition, handlers: handlers as unknown as UntypedServiceImplementation });
    }
    const port = await server.listen();
    session = connect(`http://127.0.0.1:${port}`);
    await once(session, "connect");
  });
  after(async () => {
    session?.destroy();
    await server?.close(0);
  });

  /** Sends bytes as they are and leaves the call open; answers what the server ended it with. */
  async function refused(path: string, bytes: Buffer, headers: Record<string, string> = {}) {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    const ended = new Promise<IncomingHttpHeaders>((resolve, reject) => {
      stream.on("error", reject);
      stream.on("close", () => reject(new Error(`${path}: closed without a status`)));
      // Without a message before it the status comes with the head.
      stream.on("response", (head) => head["grpc-status"] !== undefined && resolve(head));
      stream.on("trailers", (trailers) => resolve(trailers));
      stream.resume();
    });
    stream.write(bytes);
    const trailers = await ended;
    const encoded = trailers[ERROR_DETAIL_TRAILER];
    assert.equal(typeof encoded, "string", `no typed detail: ${JSON.stringify(trailers)}`);
    const detail = v1.ErrorDetail.decode(Buffer.from(encoded as string, "base64"));
    stream.on("error", () => undefined);
    stream.close();
    return {
      status: Number(trailers["grpc-status"]),
      code: detail.code,
      text: detail.message,
      next: detail.next,
    };
  }

  for (const path of [UNARY, STREAM, PEERS]) {
    it(`a message above the limit, by its announced length, at ${path}`, async () => {
      const end = await refused(path, announced(limits.messageBytesMax + 1));
      assert.deepEqual([end.status, end.code], [status.RESOURCE_EXHAUSTED, ErrorCode.LIMIT_EXCEEDED]);
      assert.ok(end.text.includes(String(limits.messageBytesMax + 1)), end.text);
      assert.ok(end.text.includes(path), end.text);
      assert.match(end.next, new RegExp(String(limits.messageBytesMax)));
    });

    it(`what is no message of its type, at ${path}`, async () => {
      const end = await refused(path, NOT_PROTOBUF);
      assert.deepEqual([end.status, end.code], [status.INVALID_ARGUMENT, ErrorCode.INVALID_ARGUMENT]);
    });

    it(`a deadline that passes, at ${path}`, async () => {
      const end = await refused(path, message(Buffer.alloc(0)), { "grpc-timeout": "20m" });
      assert.deepEqual([end.status, end.code], [status.DEADLINE_EXCEEDED, ErrorCode.DEADLINE_EXCEEDED]);
    });
  }

  it("a frame above the limit behind good ones", async () => {
    const good = message(v1.CoordinatorRequest.encode({ id: 1 }).finish());
    const end = await refused(STREAM, Buffer.concat([good, good, announced(0xffff_ffff)]));
    assert.equal(end.code, ErrorCode.LIMIT_EXCEEDED);
  });

  it("a message that grows above the limit when it is unpacked", async () => {
    const packed = gzipSync(Buffer.alloc(limits.messageBytesMax + 1));
    const end = await refused(UNARY, message(packed, true), { "grpc-encoding": "gzip" });
    assert.deepEqual([end.status, end.code], [status.RESOURCE_EXHAUSTED, ErrorCode.LIMIT_EXCEEDED]);
  });

  it("a message that cannot be unpacked, and one packed in a way that is not known", async () => {
    const packed = message(Buffer.from("nothing of the kind"), true);
    const bad = await refused(UNARY, packed, { "grpc-encoding": "gzip" });
    assert.equal(bad.code, ErrorCode.INVALID_ARGUMENT, bad.text);
    const unknown = await refused(UNARY, packed, { "grpc-encoding": "lzma" });
    assert.deepEqual([unknown.status, unknown.code], [status.UNIMPLEMENTED, ErrorCode.NOT_SUPPORTED]);
  });

  it("a deadline that is none", async () => {
    const end = await refused(UNARY, message(Buffer.alloc(0)), { "grpc-timeout": "soon" });
    assert.equal(end.code, ErrorCode.INVALID_ARGUMENT, end.text);
    assert.match(end.text, /soon/);
  });

  it("a method and a service that do not exist", async () => {
    for (const path of ["/holdfast.v1.Coordinator/Explode", "/holdfast.v2.Files/Open", "/x"]) {
      const end = await refused(path, message(Buffer.alloc(0)));
      assert.deepEqual([end.status, end.code], [status.UNIMPLEMENTED, ErrorCode.NOT_SUPPORTED]);
      assert.ok(end.text.includes(path), end.text);
      assert.notEqual(end.next, "");
    }
  });

  it("leaves an answer alone that has a detail of its own, and one of another contract", async () => {
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.end(message(Buffer.from([0x0a, 1, 0x78])));
    const [head] = (await once(stream, "response")) as [IncomingHttpHeaders];
    assert.equal(head["grpc-status"], String(status.NOT_FOUND));
    assert.equal(head[ERROR_DETAIL_TRAILER], undefined);
    stream.close();
  });
});
